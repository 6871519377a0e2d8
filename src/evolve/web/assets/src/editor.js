// A place to write Python: colours behind the text, line numbers, Tab indents, Escape then Tab leaves, Ctrl+Enter runs.
const TOKENS = /(#[^\n]*)|("""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?)|\b(\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?)\b|\b(def|return|if|elif|else|for|while|in|not|and|or|import|from|as|class|try|except|finally|raise|with|lambda|None|True|False|is|pass|break|continue|yield|assert|global)\b/g;
const KINDS = ["comment", "string", "number", "keyword"];

export function enhanceEditor(area) {
  const frame = document.createElement("div");
  frame.className = "editor";
  const paint = document.createElement("pre");
  paint.setAttribute("aria-hidden", "true");
  const gutter = document.createElement("pre");
  gutter.className = "gutter";
  gutter.setAttribute("aria-hidden", "true");
  area.before(frame);
  frame.append(gutter, paint, area);
  const update = () => {
    paint.replaceChildren(...coloured(area.value), "\n");
    const lines = area.value.split("\n").length;
    gutter.textContent = Array.from({ length: lines }, (_, n) => n + 1).join("\n");
    area.rows = Math.max(14, lines + 1);
  };
  let leaving = false;
  area.addEventListener("input", update);
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape") leaving = true;
    else if (event.key === "Tab" && !event.shiftKey && !leaving) {
      event.preventDefault();
      // execCommand keeps the browser's own undo.
      document.execCommand("insertText", false, "    ");
    } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      area.form?.requestSubmit();
    } else if (event.key === "Enter") {
      const before = area.value.slice(0, area.selectionStart);
      const line = before.slice(before.lastIndexOf("\n") + 1);
      const indent = line.match(/^ */)[0] + (line.trimEnd().endsWith(":") ? "    " : "");
      if (indent) {
        event.preventDefault();
        document.execCommand("insertText", false, `\n${indent}`);
      }
    }
    if (event.key !== "Escape") leaving = leaving && event.key === "Tab";
  });
  update();
}

function coloured(code) {
  const parts = [];
  let from = 0;
  for (const match of code.matchAll(TOKENS)) {
    if (match.index > from) parts.push(code.slice(from, match.index));
    const span = document.createElement("span");
    span.className = `t-${KINDS[match.slice(1).findIndex((group) => group !== undefined)]}`;
    span.textContent = match[0];
    parts.push(span);
    from = match.index + match[0].length;
  }
  parts.push(code.slice(from));
  return parts;
}
