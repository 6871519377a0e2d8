// Loaded before the page is painted, so that nobody who chose a theme sees the other one flash by.
try {
  const chosen = localStorage.getItem("evolve-theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch {
  // Without storage the system's theme is used.
}
document.documentElement.classList.add("js");
