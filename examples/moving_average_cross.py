"""Hold while the fast average is above the slow one."""


def main(input_data):
    close = input_data["market_data"]["close"]
    fast, slow = input_data["parameters"].get("fast", 20), input_data["parameters"].get("slow", 100)
    if len(close) < slow:
        return "FLAT"
    return "BUY" if sum(close[-fast:]) / fast > sum(close[-slow:]) / slow else "FLAT"
