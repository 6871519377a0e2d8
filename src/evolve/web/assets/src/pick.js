// Two runs are picked for a comparison: more than two cannot be ticked.
export function pickRuns(form) {
  const button = form.querySelector("button[data-compare]");
  const boxes = [...form.querySelectorAll("input[type=checkbox][name=run]")];
  const update = () => {
    const picked = boxes.filter((box) => box.checked).length;
    button.disabled = picked !== 2;
    button.textContent = picked === 2 ? "Compare these two" : `Compare: tick ${picked === 1 ? "one more" : "two"}`;
    for (const box of boxes) box.disabled = picked >= 2 && !box.checked;
  };
  for (const box of boxes) box.addEventListener("change", update);
  update();
}
