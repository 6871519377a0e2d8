// The keyboard: `/` asks, `g` and a letter goes, `?` shows what there is, Escape closes.
const PLACES = { a: "/", h: "/answers", m: "/models", c: "/compare", s: "/strategies", r: "/research", d: "/data", t: "/studies", x: "/sandbox", p: "/pictures", v: "/services", k: "/messages", j: "/jobs", f: "/feed", l: "/alerts" };
const WITHIN_MS = 1200; // of `g`, for the letter after it

export function followKeys() {
  let wentAt = -Infinity;
  const help = document.getElementById("keys");
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (event.key === "/") {
      const box = document.querySelector("[data-ask]");
      if (!box) return;
      event.preventDefault();
      box.focus();
      box.select();
    } else if (event.key === "?") {
      help?.showModal();
    } else if (event.key === "g") {
      wentAt = event.timeStamp;
    } else if (event.timeStamp - wentAt < WITHIN_MS && PLACES[event.key]) {
      location.assign(PLACES[event.key]);
    }
  });
  const menu = document.querySelector("[data-menu]");
  menu?.addEventListener("click", () => menu.setAttribute("aria-expanded", String(menu.closest(".side").classList.toggle("open"))));
  for (const button of document.querySelectorAll("[data-open]")) {
    button.addEventListener("click", () => document.getElementById(button.dataset.open)?.showModal());
  }
  for (const dialog of document.querySelectorAll("dialog")) {
    // A click beside a dialog lands on the dialog itself, not on what it holds.
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy === "address" ? location.href : button.dataset.copy);
      const said = button.textContent;
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = said), 1500);
    });
  }
  // A form that is sent once: two clicks are one question.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || event.defaultPrevented) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
    form.querySelector("button[type=submit], button:not([type])")?.setAttribute("aria-busy", "true");
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) {
      delete form.dataset.sent;
      form.querySelector("[aria-busy]")?.removeAttribute("aria-busy");
    }
  });
}

function typing(target) {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}
