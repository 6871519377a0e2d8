// What the services say, live. One tab of a browser listens and tells the others: browsers open six connections to a host, and a trader
// opens more tabs than that.
const CHANNEL = "evolve-feed";
const ROWS = 300;

export function followFeed() {
  const list = document.querySelector("[data-feed]");
  const watched = document.querySelectorAll("[data-refresh-on]");
  if (!list && !watched.length) return;
  const tell = (message) => {
    if (list) show(list, message);
    for (const panel of watched) if (matters(panel, message)) refresh(panel);
  };
  if (!navigator.locks || !window.BroadcastChannel) {
    listen(tell);
    return;
  }
  const channel = new BroadcastChannel(CHANNEL);
  channel.addEventListener("message", (event) => tell(event.data));
  navigator.locks.request(CHANNEL, () => {
    listen((message) => {
      tell(message);
      channel.postMessage(message);
    });
    return new Promise(() => {}); // held until the tab is closed; then another one gets it
  });
}

function listen(tell) {
  const source = new EventSource("/api/v1/events");
  source.addEventListener("message", (event) => tell(JSON.parse(event.data)));
  source.addEventListener("resync", () => tell({ type: "resync", service: "web", status: "success", timestamp: Date.now() / 1000, data: { note: "this page fell behind; some messages are not shown" } }));
  const mark = (up) => {
    for (const dot of document.querySelectorAll("[data-live]")) {
      dot.dataset.live = up ? "on" : "off";
      dot.textContent = up ? "live" : "reconnecting";
    }
  };
  source.addEventListener("open", () => mark(true));
  source.addEventListener("error", () => mark(false));
}

function matters(panel, message) {
  return panel.dataset.refreshOn.split(" ").some((kind) => kind === "*" || message.type === kind || (kind === "reply" && message.type !== "progress"));
}

// Many messages in one moment are one refresh.
function refresh(panel) {
  if (panel.dataset.due) return;
  panel.dataset.due = "1";
  setTimeout(() => {
    delete panel.dataset.due;
    window.htmx.ajax("GET", panel.dataset.from, { target: panel, swap: "innerHTML" });
  }, 400);
}

function show(list, message) {
  const only = list.dataset.feed;
  if (only && message.service !== only) return;
  document.querySelector("[data-feed-empty]")?.remove();
  const row = document.createElement("li");
  row.dataset.status = message.status === "error" ? "error" : message.type === "progress" ? "progress" : "reply";
  const at = document.createElement("time");
  at.textContent = new Date(message.timestamp * 1000).toLocaleTimeString([], { hour12: false });
  const service = document.createElement("b");
  service.textContent = message.service;
  const type = document.createElement("span");
  type.textContent = message.type;
  const text = document.createElement("span");
  text.className = "what";
  text.textContent = inWords(message);
  row.append(at, service, type, text);
  if (message.request_id && message.type !== "progress") {
    const link = document.createElement("a");
    link.href = `/jobs/${encodeURIComponent(message.request_id)}?service=${encodeURIComponent(message.service)}`;
    link.textContent = "open";
    link.setAttribute("aria-label", `open the ${message.type} of ${message.service}`);
    row.append(link);
  }
  list.prepend(row);
  while (list.children.length > ROWS) list.lastChild.remove();
}

function inWords({ type, data, status }) {
  if (data === null || data === undefined) return "(too large to show here)";
  if (status === "error") return String(data.error ?? "");
  if (type === "progress") return [data.stage, data.message].filter(Boolean).join(" · ") + (data.total > 1 ? ` (${data.done}/${data.total})` : "");
  const text = JSON.stringify(data);
  return text.length > 220 ? `${text.slice(0, 220)}…` : text;
}
