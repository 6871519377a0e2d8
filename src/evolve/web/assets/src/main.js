// What every page does beyond its HTML, which works without any of this.
import "./style.css";
import htmx from "htmx.org";
import { followTheme } from "./theme.js";
import { followKeys } from "./keys.js";
import { openFigures } from "./figures.js";
import { followJob } from "./job.js";
import { followFeed } from "./feed.js";
import { enhanceEditor } from "./editor.js";
import { pickRuns } from "./pick.js";

window.htmx = htmx;

followTheme();
followKeys();
openFigures(htmx);
followFeed();
for (const job of document.querySelectorAll("[data-job]")) followJob(job);
for (const area of document.querySelectorAll("textarea[data-code]")) enhanceEditor(area);
for (const form of document.querySelectorAll("form[data-pick]")) pickRuns(form);
if (document.querySelector("[data-series], [data-curves]")) import("./charts.js").then((charts) => charts.drawAll());

// Tells tests and measurements that everything above is in place.
document.documentElement.dataset.ready = "1";
performance.mark("evolve:ready");
