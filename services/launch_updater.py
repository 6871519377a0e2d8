"""Run the updater service in the foreground; SIGTERM or Ctrl-C drains it."""

if __name__ == "__main__":
    from _checkout import run

    run("evolve.services.launch", "updater")
