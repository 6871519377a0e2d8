"""QuantGPT: an interactive prompt on a terminal; without one, or with --service, the service in the foreground."""

if __name__ == "__main__":
    from _checkout import run

    run("evolve.quant_gpt")
