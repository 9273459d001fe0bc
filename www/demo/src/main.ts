import { type LoadOptions, type Sam2, Sam2Error } from "sam2-web";
import { byId } from "./dom.js";
import { kindOf } from "./kind.js";
import type { Mode } from "./mode.js";
import { loadModel, reloadModel } from "./model.js";
import { ModelChoice } from "./model-choice.js";
import { showFacts } from "./panel.js";
import { PictureMode } from "./picture.js";
import { isLoss } from "./recovery.js";
import { listenForFiles, type Opened, showSamples } from "./sources.js";
import { Stage, type Tool } from "./stage.js";
import { toast } from "./toast.js";
import { report, say } from "./words.js";

const query = new URLSearchParams(location.search);
const stageElement = byId("stage");
const stage = new Stage(byId("frame"), byId<HTMLCanvasElement>("overlay"), {
  point: (point) => mode.point(point),
  box: (box) => mode.box(box),
  hover: (at) => mode.hover(at),
});
const picture = new PictureMode(stage);

const choice = new ModelChoice(
  (address) => void useModel(address),
  () => byId("file").click(),
);

let mode: Mode = picture;
/** What is open, to open it again with another model. */
let opened: Opened | undefined;
let opening = new AbortController();
/** What could not be opened because the model was lost. */
let interrupted: Opened | undefined;

let sam: Sam2 | undefined;
let modelCame = () => {};
const firstModel = new Promise<void>((resolve) => {
  modelCame = resolve;
});

/** How many models were asked for, and which of them `sam` is. */
let asked = 0;
let used = 0;

/** Of several that are loading the one asked for last stays, whichever comes first. */
async function useModel(model: LoadOptions["model"]): Promise<void> {
  const turn = ++asked;
  try {
    const loaded = await loadModel(model, query);
    if (turn < used) {
      loaded.dispose();
      return;
    }
    used = turn;
    const before = sam;
    sam = loaded;
    try {
      await picture.useModel(loaded);
    } catch (error) {
      if (before) {
        // It still works, and has seen the picture.
        sam = before;
        loaded.dispose();
        throw error;
      }
      // The first model stays: it is the picture's fault, or the model begins anew.
      if (!(await isLoss(loaded, error))) report(error);
    }
    showModel(loaded);
    showChoice(model, loaded.model.name);
    void recover(loaded);
    modelCame();
    if (mode !== picture && opened) await open(opened);
    before?.dispose();
  } catch (error) {
    report(error);
    if (!sam) say("The model could not be loaded.");
  }
}

function showModel({ adapter, device, model }: Sam2): void {
  byId("device").title = adapter;
  showFacts({
    device: device === "webgpu" ? "WebGPU" : "CPU",
    model: `SAM ${model.version} ${model.name}`,
  });
}

function showChoice(model: LoadOptions["model"], name: string): void {
  if (typeof model === "string" || !model) choice.show(model ?? "", name);
  else choice.show(`file:${name}`, name);
}

/** Losses within this time of each other are most likely of one cause. */
const OFTEN_MS = 60_000;

/** Begins anew whenever the model is lost, as long as that may help. */
async function recover(watched: Sam2): Promise<void> {
  const losses: number[] = [];
  for (;;) {
    const reason = await watched.lost;
    if (watched !== sam) return;
    const now = performance.now();
    losses.push(now);
    const lately = losses.filter((at) => now - at < OFTEN_MS).length;
    if (lately > 3) {
      report(reason);
      say("The model fails again and again. Reload the page, or open a smaller model.");
      return;
    }
    // What this GPU has no memory for it will have none for next time.
    const onCpu = watched.device === "webgpu" && (reason.code === "OUT_OF_MEMORY" || lately > 1);
    const what =
      reason.code === "OUT_OF_MEMORY"
        ? "Memory ran out"
        : watched.device === "webgpu"
          ? "The GPU was lost"
          : "The model failed";
    toast(`${what}. Going on by itself${onCpu ? ", on the CPU" : ""}: nothing you clicked is lost.`);
    try {
      await reloadModel(watched, onCpu);
      if (watched !== sam) return;
      showModel(watched);
      await mode.recovered();
      if (interrupted) await open(interrupted);
    } catch (error) {
      report(error);
      say("The model could not be loaded again. Reload the page.");
      return;
    }
  }
}

/** Shows something else; what is shown stays if it cannot be opened. */
async function open(next: Opened): Promise<void> {
  opening.abort();
  opening = new AbortController();
  interrupted = undefined;
  const { signal } = opening;
  if (next.kind === "picture") {
    enter(picture, next);
    await picture.open(next.file, next.name, next.sample);
    return;
  }
  stageElement.classList.add("working");
  say("Opening…");
  try {
    // The code for clips is fetched when it is needed: a visitor with a picture pays nothing for it.
    const [{ openVideo }] = await Promise.all([import("./video/open.js"), firstModel]);
    if (!sam || signal.aborted) return;
    const show = await openVideo(next, sam, stage, signal);
    enter(show, next);
  } catch (error) {
    if (signal.aborted) return;
    say("");
    if (await isLoss(sam, error)) interrupted = next;
    else report(error);
  } finally {
    if (!signal.aborted) stageElement.classList.remove("working");
  }
}

/** @param next - made only now where it takes the stage by being made. */
function enter(next: Mode | (() => Mode), what: Opened): void {
  if (mode !== next) mode.close();
  opened = what;
  document.body.dataset.mode = what.kind;
  mode = typeof next === "function" ? next() : next;
}

for (const [id, act] of [
  ["undo", () => mode.undo()],
  ["clear", () => mode.clear()],
] as const) {
  byId(id).addEventListener("click", act);
}
for (const input of document.querySelectorAll<HTMLInputElement>("[name=tool]")) {
  input.addEventListener("change", () => {
    stage.tool = input.value as Tool;
    stageElement.dataset.tool = input.value;
  });
}
addEventListener("keydown", (event) => {
  const command = event.ctrlKey || event.metaKey;
  const typing = (event.target as HTMLElement).matches("input.name");
  if (typing) return;
  if (command && !event.shiftKey && event.key.toLowerCase() === "z") mode.undo();
  else if (event.key === "Escape") {
    if (!stage.cancelDrag()) mode.clear();
  } else if (!mode.key(event)) return;
  event.preventDefault();
});
listenForFiles(
  (files) => {
    void openFiles(files).catch(report);
  },
  () => void open({ kind: "camera" }),
);

/** A model's files together, else the first picture or clip, and labels after it. */
async function openFiles(files: readonly File[]): Promise<void> {
  const kinds = await Promise.all(files.map(kindOf));
  const model = files.filter((_, i) => kinds[i] === "model");
  if (model.length) {
    await useModel(model);
    return;
  }
  if (!files.length) return toast("There is nothing in this folder.");
  for (const [i, kind] of kinds.entries()) {
    const file = files[i];
    if (!file || kind === "model" || kind === "labels") continue;
    await open({ kind, file: Promise.resolve(file), name: file.name });
    break;
  }
  const labels = files[kinds.indexOf("labels")];
  if (!labels) return;
  if (mode !== picture)
    throw new Sam2Error("UNSUPPORTED_INPUT", "Open the picture first that these labels are of.");
  await picture.openLabels(labels);
}

if (query.has("test")) {
  Object.defineProperty(window, "__sam2demo", { get: () => ({ sam, ...mode.state }) });
}

void choice.fill();
void useModel(query.get("model") ?? undefined);
const untouched = opening;
const openFirst = await showSamples((sample) => void open(sample));
if (opening === untouched) openFirst(); // not over what a quick visitor has opened meanwhile
