import { type ImageEmbedding, type LoadOptions, type Sam2, Sam2Error } from "sam2-web";
import { byId } from "./dom.js";
import { loadModel } from "./model.js";
import { Newest } from "./newest.js";
import { type Candidate, Candidates, milliseconds, showFacts } from "./panel.js";
import { Prompts, toPrompt } from "./prompts.js";
import { silhouette } from "./silhouette.js";
import { listenForFiles, markSample, showSamples } from "./sources.js";
import { Stage, type Tool } from "./stage.js";
import { toast } from "./toast.js";

const READY = "Click the thing you want.";
/** A preview that takes longer than this lags behind the pointer, so it is left out. */
const PREVIEW_MS = 350;

interface Shown {
  blob: Blob;
  element: HTMLImageElement;
  /** Of the file, without its ending. */
  name: string;
  /** The sample it is, if it is one. */
  sample: HTMLElement | undefined;
  /** Once the model has seen it. */
  image?: ImageEmbedding;
}

const query = new URLSearchParams(location.search);
const prompts = new Prompts();
const jobs = new Newest();

let sam: Sam2 | undefined;
let shown: Shown | undefined;
let opening = new AbortController();
let candidates: Candidate[] = [];
let chosen = 0;
let preview: ImageBitmap | undefined;
let pointer: { x: number; y: number } | undefined;
let decodeMs = 0;

const stageElement = byId("stage");
const stage = new Stage(byId("frame"), byId<HTMLCanvasElement>("overlay"), {
  point: (point) => change(() => prompts.addPoint(point, candidates[chosen]?.mask.logits)),
  box: (box) => change(() => prompts.setBox(box)),
  hover,
});
const candidateList = new Candidates(choose);

// The model

async function useModel(model: LoadOptions["model"]): Promise<void> {
  try {
    const loaded = await loadModel(model, query);
    sam?.dispose();
    sam = loaded;
    byId("device").title = loaded.adapter;
    showFacts({
      device: loaded.device === "webgpu" ? "WebGPU" : "CPU",
      model: `SAM ${loaded.model.version} ${loaded.model.name}`,
    });
    if (shown) await encode(shown, opening.signal);
  } catch (error) {
    report(error);
    if (!sam) say("The model could not be loaded.");
  }
}

// The picture

async function open(file: Promise<Blob>, name: string, sample?: HTMLElement): Promise<void> {
  opening.abort();
  opening = new AbortController();
  const { signal } = opening;
  const before = shown;
  stageElement.classList.add("working");
  try {
    const blob = await file;
    const element = await toElement(blob);
    if (signal.aborted) return;
    const next: Shown = { blob, element, name: name.replace(/\.\w+$/, "") || "picture", sample };
    prompts.reset();
    show(next);
    await encode(next, signal);
    before?.image?.dispose();
  } catch (error) {
    report(error);
    if (signal.aborted) {
      // The picture that came instead has this one's place to go back to, not the older one's.
      if (shown !== before) before?.image?.dispose();
    } else if (shown !== before) {
      show(before);
      if (before && !before.image) await encode(before, signal).catch(report);
    }
  } finally {
    if (!signal.aborted) stageElement.classList.remove("working");
  }
}

function show(picture: Shown | undefined): void {
  shown = picture;
  stage.setPicture(picture?.element);
  markSample(picture?.sample);
  const { naturalWidth = 0, naturalHeight = 0 } = picture?.element ?? {};
  showFacts({
    size: picture ? `${naturalWidth} × ${naturalHeight}` : "–",
    encode: picture?.image ? milliseconds(picture.image.encodeMs) : "–",
    decode: "–",
  });
  showNothing();
}

async function toElement(blob: Blob): Promise<HTMLImageElement> {
  const element = new Image();
  element.src = URL.createObjectURL(blob);
  await new Promise<void>((resolve, reject) => {
    element.onload = () => resolve();
    element.onerror = () => {
      const message = "This file is not a picture the browser can show. Use a PNG, JPEG, WebP, AVIF or GIF.";
      reject(new Sam2Error("INVALID_IMAGE", message));
    };
  }).finally(() => URL.revokeObjectURL(element.src));
  return element;
}

/** Shows the picture to the model, if that is there already. */
async function encode(picture: Shown, signal: AbortSignal): Promise<void> {
  if (!sam) return;
  say("Looking at the picture…");
  stageElement.classList.add("working");
  try {
    picture.image = await sam.setImage(picture.blob, { signal });
  } finally {
    if (!signal.aborted) stageElement.classList.remove("working");
  }
  showFacts({ encode: milliseconds(picture.image.encodeMs) });
  say(READY);
  await jobs.run(decode);
}

// Prompts and masks

function change(step: () => void): void {
  if (!shown) return;
  step();
  showPrompts();
  void jobs.run(decode);
}

async function decode(): Promise<void> {
  const image = shown?.image;
  const step = prompts.now;
  if (prompts.isEmpty) {
    showNothing();
    return;
  }
  if (!image) return; // the encoder is at work, and decodes when it is done
  try {
    const prediction = await image.predict(toPrompt(step));
    const found = await Promise.all(
      prediction.masks.map(async (mask) => ({ mask, shape: await silhouette(mask) })),
    );
    if (step !== prompts.now || image !== shown?.image) return;
    decodeMs = prediction.decodeMs;
    candidates = found;
    showFacts({ decode: milliseconds(decodeMs) });
    candidateList.show(candidates, stage.picture);
    const scores = candidates.map(({ mask }) => mask.score);
    choose(scores.indexOf(Math.max(...scores)));
    if (!candidates[chosen]?.mask.area) say("Nothing found there. Try another spot, or drag a box.");
  } catch (error) {
    report(error);
    if (step !== prompts.now) return;
    prompts.undo();
    showPrompts();
  }
}

function choose(index: number): void {
  const mask = candidates[index]?.mask;
  if (!mask) return;
  chosen = index;
  candidateList.mark(index);
  showPrompts();
  const share = ((mask.area / (mask.width * mask.height)) * 100).toFixed(1);
  say(`Mask of ${share} % of the picture, score ${Math.round(mask.score * 100)} %.`, true);
}

function hover(at: { x: number; y: number } | undefined): void {
  pointer = at;
  if (at && prompts.isEmpty) {
    if (shown?.image && !jobs.busy && decodeMs < PREVIEW_MS) void jobs.run(showPreview);
  } else if (preview) {
    preview = undefined;
    showPrompts();
  }
}

async function showPreview(): Promise<void> {
  const image = shown?.image;
  const at = pointer;
  if (!image || !at || !prompts.isEmpty) return;
  try {
    const prediction = await image.predict({ points: [{ ...at, label: 1 }] });
    decodeMs = prediction.decodeMs;
    const best = prediction.masks.reduce((a, b) => (b.score > a.score ? b : a));
    const shape = await silhouette(best);
    if (image !== shown?.image || !pointer || !prompts.isEmpty) return;
    preview = shape;
    showPrompts();
    if (pointer.x !== at.x || pointer.y !== at.y) void jobs.run(showPreview);
  } catch (error) {
    report(error);
  }
}

function showNothing(): void {
  candidates = [];
  candidateList.show([], undefined);
  preview = undefined;
  showPrompts();
  say(shown?.image ? READY : "");
}

function showPrompts(): void {
  const { points, box } = prompts.now;
  stage.show({ shape: candidates[chosen]?.shape, preview, points, box });
  byId<HTMLButtonElement>("undo").disabled = !prompts.canUndo;
  byId<HTMLButtonElement>("clear").disabled = prompts.isEmpty;
  byId<HTMLButtonElement>("download").disabled = !candidates[chosen]?.mask.area;
}

async function download(): Promise<void> {
  try {
    const png = await candidates[chosen]?.mask.cutout();
    if (!png) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(png);
    link.download = `${shown?.name}-cutout.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  } catch (error) {
    report(error);
  }
}

// Words

/** @param unobtrusive - read out, but not shown over the picture. */
function say(message: string, unobtrusive = false): void {
  byId("status").textContent = message;
  stageElement.classList.toggle("quiet", unobtrusive);
}

function report(error: unknown): void {
  const code = error instanceof Sam2Error ? error.code : "INTERNAL";
  if (code === "ABORTED" || code === "DISPOSED") return;
  console.error(error);
  const message = error instanceof Error ? error.message : String(error);
  const ended = code === "DEVICE_LOST" || code === "OUT_OF_MEMORY" || code === "INTERNAL";
  toast(ended ? `${message} On this page: reload it.` : message);
}

// Controls

byId("undo").addEventListener("click", () => change(() => prompts.undo()));
byId("clear").addEventListener("click", () => change(() => prompts.clear()));
byId("download").addEventListener("click", download);
for (const input of document.querySelectorAll<HTMLInputElement>("[name=tool]")) {
  input.addEventListener("change", () => {
    stage.tool = input.value as Tool;
    stageElement.dataset.tool = input.value;
  });
}
addEventListener("keydown", (event) => {
  const command = event.ctrlKey || event.metaKey;
  if (command && !event.shiftKey && event.key.toLowerCase() === "z") {
    event.preventDefault();
    change(() => prompts.undo());
  } else if (event.key === "Escape") {
    change(() => prompts.clear());
  } else if (/^[1-3]$/.test(event.key) && !command && !event.altKey) {
    choose(Number(event.key) - 1);
  }
});
listenForFiles((file) => {
  const isModel = /\.(pt|safetensors)$/i.test(file.name);
  void (isModel ? useModel(file) : open(Promise.resolve(file), file.name));
});

if (query.has("test")) {
  Object.defineProperty(window, "__sam2demo", {
    get: () => ({
      sam,
      image: shown?.image,
      masks: candidates.map(({ mask }) => mask),
      chosen,
      prompts: prompts.now,
      busy: jobs.busy || stageElement.classList.contains("working"),
    }),
  });
}

const openFirst = await showSamples((url, name, button) => {
  void open(
    fetch(url).then((response) => response.blob()),
    name,
    button,
  );
});
openFirst();
await useModel(query.get("model") ?? undefined);
