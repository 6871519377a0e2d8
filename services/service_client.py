"""Ask the services: `python services/service_client.py --action build`."""

if __name__ == "__main__":
    from _checkout import run

    run("evolve.client.cli")

from evolve.client.client import ServiceClient as ServiceClient
