import { type ImageEmbedding, type LoadOptions, type Point, Sam2, Sam2Error } from "sam2-web";
import { byId } from "./dom.js";
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

const query = new URLSearchParams(location.search);
const prompts = new Prompts();
const jobs = new Newest();

let sam: Sam2 | undefined;
let image: ImageEmbedding | undefined;
let pictureName = "picture";
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

async function loadModel(model: LoadOptions["model"]): Promise<void> {
  const text = byId("loading-text");
  const bar = byId<HTMLProgressElement>("loading-bar");
  byId("loading").hidden = false;
  bar.removeAttribute("value");
  try {
    const loaded = await Sam2.load({
      ...(model && { model }),
      device: (query.get("device") ?? "auto") as "auto",
      worker: query.get("worker") !== "0",
      onProgress({ phase, loaded, total }) {
        if (phase === "download") {
          const size = total ? `${megabytes(loaded)} of ${megabytes(total)} MB` : `${megabytes(loaded)} MB`;
          text.textContent = `Loading the model: ${size}`;
          if (total) bar.value = loaded / total;
        } else {
          text.textContent = "Preparing the model…";
          bar.removeAttribute("value");
        }
      },
    });
    sam?.dispose();
    sam = loaded;
    const device = loaded.device === "webgpu" ? "WebGPU" : "CPU";
    showFacts({ device, model: `SAM ${loaded.model.version} ${loaded.model.name}` });
    byId("device").title = loaded.adapter;
    image = undefined;
    await encode();
  } catch (error) {
    report(error);
    if (!sam) say("The model could not be loaded.");
  } finally {
    byId("loading").hidden = true;
  }
}

const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);

// The picture

async function open(blob: Blob, name: string): Promise<void> {
  if (/\.(pt|safetensors)$/i.test(name)) return loadModel(blob);
  opening.abort();
  opening = new AbortController();
  const { signal } = opening;
  try {
    const picture = await toElement(blob);
    if (signal.aborted) return;
    const before = { picture: stage.picture, image, pictureName, blob: currentBlob };
    currentBlob = blob;
    image = undefined;
    pictureName = name.replace(/\.\w+$/, "") || "picture";
    prompts.reset();
    showNothing();
    stage.setPicture(picture);
    showFacts({ size: `${picture.naturalWidth} × ${picture.naturalHeight}`, encode: "–", decode: "–" });
    try {
      await encode(signal);
      before.image?.dispose();
    } catch (error) {
      if (signal.aborted) before.image?.dispose();
      else restore(before);
      throw error;
    }
  } catch (error) {
    report(error);
  }
}

let currentBlob: Blob | undefined;

/** Goes back to the picture that was there before one that failed. */
function restore(before: {
  picture: HTMLImageElement | undefined;
  image: ImageEmbedding | undefined;
  pictureName: string;
  blob: Blob | undefined;
}): void {
  ({ image, pictureName } = before);
  currentBlob = before.blob;
  stage.setPicture(before.picture);
  if (before.picture) {
    showFacts({ size: `${before.picture.naturalWidth} × ${before.picture.naturalHeight}` });
  }
  if (image) showFacts({ encode: milliseconds(image.encodeMs) });
  say(image ? READY : "");
}

async function toElement(blob: Blob): Promise<HTMLImageElement> {
  const picture = new Image();
  picture.src = URL.createObjectURL(blob);
  await new Promise<void>((resolve, reject) => {
    picture.onload = () => resolve();
    picture.onerror = () =>
      reject(
        new Sam2Error(
          "INVALID_IMAGE",
          "This file is not a picture the browser can show. Use a PNG, JPEG, WebP, AVIF or GIF.",
        ),
      );
  }).finally(() => URL.revokeObjectURL(picture.src));
  return picture;
}

/** Shows the picture to the model, once both are there. */
async function encode(signal = opening.signal): Promise<void> {
  if (!sam || !currentBlob) return;
  say("Looking at the picture…");
  stageElement.classList.add("working");
  try {
    image = await sam.setImage(currentBlob, { signal });
    showFacts({ encode: milliseconds(image.encodeMs) });
    say(READY);
    if (!prompts.isEmpty) await decode();
  } finally {
    if (!signal.aborted) stageElement.classList.remove("working");
  }
}

// Prompts and masks

function change(step: () => void): void {
  if (!stage.picture) return;
  step();
  showPrompts();
  void jobs.run(decode);
}

async function decode(): Promise<void> {
  const asked = image;
  const step = prompts.now;
  if (prompts.isEmpty) {
    showNothing();
    return;
  }
  if (!asked) return; // the encoder is at work, and decodes when it is done
  try {
    const prediction = await asked.predict(toPrompt(step));
    const found = await Promise.all(
      prediction.masks.map(async (mask) => ({ mask, shape: await silhouette(mask) })),
    );
    if (step !== prompts.now || asked !== image) return;
    decodeMs = prediction.decodeMs;
    candidates = found;
    showFacts({ decode: milliseconds(decodeMs) });
    candidateList.show(candidates, stage.picture);
    const scores = candidates.map(({ mask }) => mask.score);
    choose(scores.indexOf(Math.max(...scores)));
    if (prediction.objectScore < 0 || !candidates[chosen]?.mask.area)
      say("Nothing clear there. Try another spot, or a box.");
  } catch (error) {
    report(error);
    if (step === prompts.now && prompts.canUndo) {
      prompts.undo();
      showPrompts();
    }
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
  if (!at || !prompts.isEmpty) {
    if (preview) {
      preview = undefined;
      showPrompts();
    }
    return;
  }
  if (image && !jobs.busy && decodeMs < PREVIEW_MS) void jobs.run(showPreview);
}

async function showPreview(): Promise<void> {
  const asked = image;
  const at = pointer;
  if (!asked || !at || !prompts.isEmpty) return;
  try {
    const prediction = await asked.predict({ points: [{ ...at, label: 1 } satisfies Point] });
    decodeMs = prediction.decodeMs;
    const best = prediction.masks.reduce((a, b) => (b.score > a.score ? b : a));
    const shape = await silhouette(best);
    if (asked !== image || !pointer || !prompts.isEmpty) return;
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
  if (image) say(READY);
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
    link.download = `${pictureName}-cutout.png`;
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
  if (error instanceof Sam2Error && (error.code === "ABORTED" || error.code === "DISPOSED")) return;
  console.error(error);
  toast(error instanceof Error ? error.message : String(error));
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
  if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "z") {
    event.preventDefault();
    change(() => prompts.undo());
  } else if (event.key === "Escape") {
    change(() => prompts.clear());
  } else if (/^[1-3]$/.test(event.key) && !event.ctrlKey && !event.metaKey && !event.altKey) {
    choose(Number(event.key) - 1);
  }
});
listenForFiles((file) => {
  markSample();
  void open(file, file.name);
});

if (query.has("test")) {
  Object.defineProperty(window, "__sam2demo", {
    get: () => ({
      sam,
      image,
      masks: candidates.map(({ mask }) => mask),
      chosen,
      prompts: prompts.now,
      busy: jobs.busy || stageElement.classList.contains("working"),
    }),
  });
}

const samples = await showSamples(async (url, name) => {
  try {
    await open(await (await fetch(url)).blob(), name);
  } catch (error) {
    report(error);
  }
});
samples.openFirst();
await loadModel(query.get("model") ?? undefined);
