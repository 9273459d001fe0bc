// The bench page. By hand: the button. By pkg-scripts/bench: `window.bench(plan)`.
import { manifest, measure } from "./measure.js";
import type { Plan, Report } from "./plan.js";
import { figure, type Row } from "./rows.js";
import "./style.css";

declare global {
  interface Window {
    bench(plan: Partial<Plan>): Promise<Report>;
  }
}

function find<T extends Element>(selector: string): T {
  const found = document.querySelector<T>(selector);
  if (!found) throw new Error(`the page has no ${selector}`);
  return found;
}
const button = find<HTMLButtonElement>("#run");
const save = find<HTMLButtonElement>("#save");
const status = find<HTMLElement>("#status");
const body = find<HTMLTableSectionElement>("tbody");
const checked = (name: string) =>
  [...document.querySelectorAll<HTMLInputElement>(`input[name=${name}]:checked`)].map(({ value }) => value);

function show({ work, ours, theirs, unit, ratio, target, note }: Row): void {
  const line = body.insertRow();
  for (const text of [
    work,
    figure(ours),
    figure(theirs),
    unit,
    ratio === null ? "" : ratio.toFixed(2),
    target === null ? "" : `≤ ${target}`,
    note ?? "",
  ]) {
    line.insertCell().textContent = text;
  }
  if (ratio !== null && target !== null) line.className = ratio <= target ? "met" : "missed";
}

function download(report: Report): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(report, null, 2)], { type: "application/json" }));
  link.download = "sam2-web-bench.json";
  link.click();
  URL.revokeObjectURL(link.href);
}

window.bench = async (wanted) => {
  const plan: Plan = {
    devices: ["cpu", "webgpu"],
    models: ["nano", "tiny"],
    budgetMs: 10_000,
    slow: false,
    least: 3,
    ...wanted,
  };
  body.replaceChildren();
  button.disabled = true;
  save.hidden = true;
  try {
    const report = await measure(plan, (doing) => (status.textContent = `${doing} …`), show);
    status.textContent = `Done. ${report.conditions.adapter ?? "No WebGPU adapter"}; ${report.conditions.cores} cores.`;
    save.onclick = () => download(report);
    save.hidden = false;
    return report;
  } catch (error) {
    status.textContent = `Stopped: ${error instanceof Error ? error.message : error}`;
    throw error;
  } finally {
    button.disabled = false;
  }
};

// Only models that are beside the page are offered.
manifest()
  .then((made) => {
    for (const box of document.querySelectorAll<HTMLInputElement>("input[name=model]")) {
      if (box.value in made) continue;
      box.checked = false;
      box.disabled = true;
    }
  })
  .catch((error) => {
    status.textContent = `${error.message}`;
  });

button.addEventListener("click", () => {
  // What went wrong is on the page already.
  window
    .bench({ devices: checked("device") as Plan["devices"], models: checked("model") })
    .catch(console.error);
});
