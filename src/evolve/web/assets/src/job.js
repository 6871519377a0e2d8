// A job as it goes on: its steps stream in; when the service behind it goes away the page says so, and goes on when it is back.
export function followJob(panel) {
  const id = panel.dataset.job;
  if (panel.dataset.ended) return;
  const bar = panel.querySelector("progress");
  const steps = panel.querySelector("[data-steps]");
  const state = panel.querySelector("[data-state]");
  const elapsed = panel.querySelector("[data-elapsed]");
  const since = Number(panel.dataset.since) * 1000 || Date.now();
  const clock = setInterval(() => (elapsed.textContent = spent(Date.now() - since)), 1000);
  elapsed.textContent = spent(Date.now() - since);
  let last = "";

  const source = new EventSource(`/api/v1/jobs/${encodeURIComponent(id)}/events`);
  const say = (text, kind = "") => {
    state.textContent = text;
    state.dataset.kind = kind;
  };
  const ended = () => {
    source.close();
    clearInterval(clock);
    // The page of a job that ended is made by the server: result, charts and all.
    location.replace(panel.dataset.then || location.href);
  };
  source.addEventListener("open", () => say("Running", ""));
  source.addEventListener("error", () => {
    // EventSource tries again by itself, from the last event it saw.
    if (source.readyState === EventSource.CLOSED) say("The server closed the stream. Reload the page to look again.", "bad");
    else say("Connection lost; trying again. The job goes on without this page.", "warn");
  });
  source.addEventListener("state", (event) => {
    const told = JSON.parse(event.data);
    if (told.state === "waiting" || told.why || told.detail) say(told.why || told.detail || "Waiting for the service.", "warn");
    else say(told.state === "queued" ? "Waiting for its turn" : "Running", "");
  });
  source.addEventListener("progress", (event) => {
    const { stage, done, total, message } = JSON.parse(event.data);
    say("Running", "");
    if (total > 0) {
      bar.max = total;
      bar.value = done;
    }
    const text = [stage, message].filter(Boolean).join(" · ");
    if (text === last) return;
    last = text;
    steps.querySelector("[aria-current]")?.removeAttribute("aria-current");
    const row = document.createElement("li");
    row.setAttribute("aria-current", "step");
    const at = document.createElement("time");
    at.textContent = spent(Date.now() - since);
    const what = document.createElement("span");
    what.textContent = text;
    row.append(at, what);
    steps.append(row);
    while (steps.children.length > 200) steps.firstChild.remove();
    steps.scrollTop = steps.scrollHeight;
  });
  source.addEventListener("reply", ended);
  source.addEventListener("failed", ended);
}

function spent(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  return s < 60 ? `${s} s` : `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
}
