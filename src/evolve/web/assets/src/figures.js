// A number opens where it came from, beside the page; without this script its link opens the same as a page of its own.
export function openFigures(htmx) {
  const drawer = document.getElementById("drawer");
  if (!drawer) return;
  const body = drawer.querySelector("[data-body]");
  document.addEventListener("click", async (event) => {
    const link = event.target instanceof Element ? event.target.closest("a[data-figure]") : null;
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    body.replaceChildren();
    drawer.showModal();
    await htmx.ajax("GET", link.getAttribute("href"), { target: body, swap: "innerHTML" });
  });
}
