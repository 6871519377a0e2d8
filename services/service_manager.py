"""Start, stop and look at the services: `python services/service_manager.py --action start-all`."""

if __name__ == "__main__":
    from _checkout import run

    run("evolve.manager.cli")

from evolve.manager.manager import ServiceManager as ServiceManager
