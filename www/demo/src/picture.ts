import {
  type Box,
  type ImageEmbedding,
  type Mask,
  type Point,
  PredictedMask,
  type Prediction,
  type Prompt,
  type Sam2,
  Sam2Error,
} from "sam2-web";
import type { Label } from "sam2-web/formats";
import { byId } from "./dom.js";
import { download } from "./download.js";
import { Everything } from "./everything.js";
import { readLabels } from "./labels.js";
import type { Mode } from "./mode.js";
import { Newest } from "./newest.js";
import { type Candidate, Candidates, milliseconds, percent, showFacts } from "./panel.js";
import { Prompts, type Step, toPrompt } from "./prompts.js";
import { isLoss } from "./recovery.js";
import { type Format, saveAs } from "./save-as.js";
import { silhouette } from "./silhouette.js";
import { markSample } from "./sources.js";
import type { Stage } from "./stage.js";
import { still } from "./still.js";
import { marked, type Thing } from "./thing-map.js";
import { toast } from "./toast.js";
import { report, say } from "./words.js";

const READY = "Click the thing you want.";
/** A preview that takes longer than this lags behind the pointer, so it is left out. */
const PREVIEW_MS = 350;
/** In pixels of the network's low-resolution masks, as the official predictor's videos count holes. */
const SPECK = 8;

interface Shown {
  blob: Blob;
  element: HTMLImageElement;
  /** Of the file. */
  fileName: string;
  /** The sample it is, if it is one. */
  sample: HTMLElement | undefined;
  /** Once the model has seen it. */
  image?: ImageEmbedding;
}

/** A picture: clicks on it, the candidates, the chosen one's cut-out. */
export class PictureMode implements Mode {
  readonly #stage: Stage;
  readonly #stageElement = byId("stage");
  readonly #prompts = new Prompts();
  readonly #jobs = new Newest();
  readonly #candidateList = new Candidates((index) => this.#choose(index));
  #sam: Sam2 | undefined;
  #shown: Shown | undefined;
  #opening = new AbortController();
  #candidates: Candidate[] = [];
  /** The prompts whose answer the candidates are. */
  #candidatesOf: Step | undefined;
  #chosen = 0;
  #preview: ImageBitmap | undefined;
  readonly #everything = new Everything(() => this.#thingsChanged());
  /** Whether the model was lost while it looked for everything. */
  #searchInterrupted = false;
  /** The thing under the pointer, and its mask to lay over the others. */
  #highlight: { thing: Thing; layer: OffscreenCanvas } | undefined;
  #pointer: { x: number; y: number } | undefined;
  /** While files are made: many soft edges take seconds. */
  #isSaving = false;
  #decodeMs = 0;

  constructor(stage: Stage) {
    this.#stage = stage;
    byId("everything").addEventListener("click", () => this.#toggleEverything());
    byId("download").addEventListener("click", () => this.#save());
    byId("save-format").addEventListener("change", () => {
      byId("soft-edge-choice").hidden = formatChosen() !== "cutout";
    });
  }

  get state() {
    return {
      image: this.#shown?.image,
      masks: this.#candidates.map(({ mask }) => mask),
      chosen: this.#chosen,
      prompts: this.#prompts.now,
      things: this.#everything.things,
      searching: this.#everything.isRunning,
      busy: this.#jobs.busy || this.#stageElement.classList.contains("working"),
    };
  }

  async useModel(sam: Sam2): Promise<void> {
    const before = this.#sam;
    this.#sam = sam;
    try {
      if (this.#shown) await this.#encode(this.#shown, this.#opening.signal);
    } catch (error) {
      if (before) this.#sam = before;
      // There is nothing to go back to from a picture that cannot be read; one of a lost model is looked at again.
      else if (!(await isLoss(sam, error))) this.#show(undefined);
      throw error;
    }
  }

  async recovered(): Promise<void> {
    if (!this.#shown) return;
    const { image } = this.#shown;
    if (!image) return this.#encode(this.#shown, this.#opening.signal);
    await this.#jobs.run(() => this.#decode());
    if (this.#searchInterrupted) void this.#findEverything(image);
  }

  close(): void {
    this.#opening.abort();
    this.#shown?.image?.dispose();
    this.#prompts.reset();
    this.#show(undefined);
    this.#stageElement.classList.remove("working");
  }

  // The picture

  async open(file: Promise<Blob>, name: string, sample?: HTMLElement): Promise<void> {
    this.#opening.abort();
    this.#opening = new AbortController();
    const { signal } = this.#opening;
    const before = this.#shown;
    this.#stageElement.classList.add("working");
    try {
      const blob = await still(await file);
      const element = await toElement(blob);
      if (signal.aborted) return;
      const next: Shown = { blob, element, fileName: name || "picture", sample };
      this.#prompts.reset();
      this.#show(next);
      await this.#encode(next, signal);
      before?.image?.dispose();
    } catch (error) {
      if (await isLoss(this.#sam, error)) {
        before?.image?.dispose(); // The new one is encoded once the model is back.
        return;
      }
      report(error);
      if (signal.aborted) {
        // The picture that came instead has this one's place to go back to, not the older one's.
        if (this.#shown !== before) before?.image?.dispose();
      } else if (this.#shown !== before) {
        this.#show(before);
        if (before && !before.image) await this.#encode(before, signal).catch(report);
      }
    } finally {
      if (!signal.aborted) this.#stageElement.classList.remove("working");
    }
  }

  #show(picture: Shown | undefined): void {
    this.#shown = picture;
    this.#stage.setPicture(picture?.element);
    markSample(picture?.sample);
    const { naturalWidth = 0, naturalHeight = 0 } = picture?.element ?? {};
    showFacts({
      size: picture ? `${naturalWidth} × ${naturalHeight}` : "–",
      encode: picture?.image ? milliseconds(picture.image.encodeMs) : "–",
      decode: "–",
    });
    this.#searchInterrupted = false;
    this.#everything.reset();
    this.#highlight = undefined;
    this.#showNothing();
  }

  /** Shows the picture to the model, if that is there already. */
  async #encode(picture: Shown, signal: AbortSignal): Promise<void> {
    if (!this.#sam) return;
    say("Looking at the picture…");
    this.#stageElement.classList.add("working");
    try {
      picture.image = await this.#sam.setImage(picture.blob, { signal });
    } finally {
      if (!signal.aborted) this.#stageElement.classList.remove("working");
    }
    showFacts({ encode: milliseconds(picture.image.encodeMs) });
    say(READY);
    await this.#jobs.run(() => this.#decode());
    // Another model finds other things.
    const { source, isShown } = this.#everything;
    if (source === "model" && isShown) void this.#findEverything(picture.image);
    else if (source === "model") this.#everything.reset();
  }

  // Prompts and masks

  point(point: Point): void {
    const thing = this.#thingsShown && point.label ? this.#everything.at(point) : undefined;
    if (thing) {
      this.#change(() => this.#prompts.take(thing.label));
      return;
    }
    // Of two quick clicks the second finds the mask of prompts before the first: that one is not what it corrects.
    const shown = this.#candidatesOf === this.#prompts.now ? this.#candidates[this.#chosen] : undefined;
    this.#change(() => this.#prompts.addPoint(point, shown && refinable(shown.mask)));
  }

  box(box: Box): void {
    this.#change(() => this.#prompts.setBox(box));
  }

  undo(): void {
    this.#change(() => this.#prompts.undo());
  }

  /** One thing after the other: a search that is under way, the mask, the things to choose from. */
  clear(): void {
    if (this.#everything.isRunning) this.#everything.stop();
    else if (this.#thingsShown) this.#hideThings();
    else this.#change(() => this.#prompts.clear());
  }

  key(event: KeyboardEvent): boolean {
    // A menu has its own use for letters.
    const isTyped =
      event.ctrlKey || event.metaKey || event.altKey || event.target instanceof HTMLSelectElement;
    if (isTyped) return false;
    if (event.key.toLowerCase() === "e") byId("everything").click();
    else if (/^[1-3]$/.test(event.key)) this.#choose(Number(event.key) - 1);
    else return false;
    return true;
  }

  #change(step: () => void): void {
    if (!this.#shown) return;
    step();
    this.#showPrompts();
    void this.#jobs.run(() => this.#decode());
  }

  async #decode(): Promise<void> {
    const image = this.#shown?.image;
    const step = this.#prompts.now;
    if (this.#prompts.isEmpty) {
      this.#showNothing();
      return;
    }
    if (!image) return; // the encoder is at work, and decodes when it is done
    try {
      const masks = await this.#masksFor(image, step);
      const found = await Promise.all(
        masks.map(async ({ mask, score }) => ({ mask, score, shape: await silhouette(mask) })),
      );
      if (step !== this.#prompts.now || image !== this.#shown?.image) {
        for (const { shape } of found) shape.close();
        return;
      }
      this.#setCandidates(found);
      this.#candidatesOf = step;
      this.#candidateList.show(found, this.#shown?.element);
      const scores = found.map(({ score = 0 }) => score);
      this.#choose(scores.indexOf(Math.max(...scores)));
      if (!found[this.#chosen]?.mask.area) say("Nothing found there. Try another spot, or drag a box.");
    } catch (error) {
      if (await isLoss(this.#sam, error)) return; // It is asked again once the model is back.
      report(error);
      if (step !== this.#prompts.now) return;
      this.#prompts.undo();
      this.#showPrompts();
    }
  }

  async #masksFor(image: ImageEmbedding, step: Step): Promise<{ mask: Mask; score: number | undefined }[]> {
    const { taken, points } = step;
    if (taken && !points.length) return [{ mask: taken.mask, score: taken.score }];
    const { masks, decodeMs } = await predictClean(image, toPrompt(step));
    this.#decodeMs = decodeMs;
    showFacts({ decode: milliseconds(decodeMs) });
    return masks.map((mask) => ({ mask, score: mask.score }));
  }

  #choose(index: number): void {
    const { mask, score } = this.#candidates[index] ?? {};
    if (!mask) return;
    this.#chosen = index;
    this.#candidateList.mark(index);
    this.#showPrompts();
    const share = ((mask.area / (mask.width * mask.height)) * 100).toFixed(1);
    say(`Mask of ${share} % of the picture${score === undefined ? "" : `, score ${percent(score)}`}.`, true);
  }

  hover(at: { x: number; y: number } | undefined): void {
    this.#pointer = at;
    this.#highlightThing();
    if (this.#previewsAt) {
      const quick = !this.#jobs.busy && this.#decodeMs < PREVIEW_MS;
      if (this.#shown?.image && quick) void this.#jobs.run(() => this.#showPreview());
    } else if (this.#preview) {
      this.#setPreview(undefined);
      this.#showPrompts();
    }
  }

  /** Where the model is asked what a click would give: not where there is a thing, or while a search needs the model. */
  get #previewsAt(): { x: number; y: number } | undefined {
    const isOther = this.#highlight !== undefined || this.#everything.isRunning || !this.#prompts.isEmpty;
    return isOther ? undefined : this.#pointer;
  }

  async #showPreview(): Promise<void> {
    const image = this.#shown?.image;
    const at = this.#previewsAt;
    if (!image || !at) return;
    try {
      const prediction = await predictClean(image, { points: [{ ...at, label: 1 }] });
      this.#decodeMs = prediction.decodeMs;
      const best = prediction.masks.reduce((a, b) => (b.score > a.score ? b : a));
      const shape = await silhouette(best);
      const now = this.#previewsAt;
      if (image !== this.#shown?.image || !now) {
        shape.close();
        return;
      }
      this.#setPreview(shape);
      this.#showPrompts();
      const moved = now.x !== at.x || now.y !== at.y;
      if (moved) void this.#jobs.run(() => this.#showPreview());
    } catch (error) {
      if (!(await isLoss(this.#sam, error))) report(error);
    }
  }

  #showNothing(): void {
    this.#setCandidates([]);
    this.#candidateList.show([], undefined);
    this.#setPreview(undefined);
    this.#showPrompts();
    if (this.#thingsShown) this.#sayThings();
    else say(this.#shown?.image ? READY : "");
  }

  // Things to choose from

  /** Whether there are any on show: where nothing has been chosen yet. */
  get #thingsShown(): boolean {
    return this.#everything.isShown && this.#prompts.isEmpty;
  }

  #toggleEverything(): void {
    const image = this.#shown?.image;
    const { isRunning, isComplete } = this.#everything;
    if (!image) return;
    if (isRunning) this.#everything.stop();
    else if (isComplete && this.#thingsShown) this.#hideThings();
    else {
      this.#prompts.clear();
      if (isComplete) this.#everything.isShown = true;
      else void this.#findEverything(image);
      this.#showNothing();
    }
  }

  #hideThings(): void {
    this.#searchInterrupted = false;
    this.#everything.hide();
    this.#highlightThing();
    this.#showNothing();
  }

  async #findEverything(image: ImageEmbedding): Promise<void> {
    const sam = this.#sam;
    if (!sam) return;
    this.#searchInterrupted = false;
    try {
      const finding = this.#everything.find(image, sam);
      if (this.#thingsShown) this.#sayThings();
      await finding;
      if (image === this.#shown?.image && this.#thingsShown) this.#sayThings();
    } catch (error) {
      this.#searchInterrupted = await isLoss(sam, error); // It is begun again once the model is back.
      if (!this.#searchInterrupted) report(error);
    }
  }

  /** Shows what is in a file of labels of this picture. */
  async openLabels(file: File): Promise<void> {
    const picture = this.#shown;
    if (!picture)
      throw new Sam2Error("UNSUPPORTED_INPUT", "Open the picture first that these labels are of.");
    const { naturalWidth: width, naturalHeight: height } = picture.element;
    const { labels, warnings } = await readLabels(file, { width, height, fileName: picture.fileName });
    if (picture !== this.#shown) return;
    this.#prompts.clear();
    await this.#everything.take(labels, { width, height });
    if (picture !== this.#shown) return;
    this.#showNothing();
    const [first] = warnings;
    if (first) toast(`${first}${warnings.length > 1 ? ` (And ${warnings.length - 1} more.)` : ""}`);
  }

  #sayThings(): void {
    const { isRunning, source, things } = this.#everything;
    const what = `${things.length} ${things.length === 1 ? "thing" : "things"}`;
    if (isRunning) say("Looking for everything…");
    else if (!things.length) say("Nothing found. Click the thing you want.");
    else say(`${what} ${source === "labels" ? "in the file" : "found"}. Click one to take it.`);
  }

  #thingsChanged(): void {
    this.#highlightThing();
    this.#showPrompts();
  }

  /** Marks the thing under the pointer, if there is one. */
  #highlightThing(): void {
    const thing = this.#thingsShown && this.#pointer ? this.#everything.at(this.#pointer) : undefined;
    if (thing !== this.#highlight?.thing) {
      this.#highlight = thing && { thing, layer: layerOf(thing) };
      this.#showPrompts();
    }
  }

  // The stage paints later, from what it is shown last: call `#showPrompts` after these, or it would paint what is closed.

  #setPreview(shape: ImageBitmap | undefined): void {
    this.#preview?.close();
    this.#preview = shape;
  }

  #setCandidates(found: Candidate[]): void {
    for (const { shape } of this.#candidates) shape.close();
    this.#candidates = found;
  }

  #showPrompts(): void {
    const { points, box } = this.#prompts.now;
    const chosen = this.#candidates[this.#chosen];
    const { isRunning, isComplete, layer, things } = this.#everything;
    const thingsShown = this.#thingsShown;
    const layers = [thingsShown && layer, this.#highlight?.layer].filter((each) => !!each);
    this.#stage.show({ shape: chosen?.shape, layers, preview: this.#preview, points, box });
    byId<HTMLButtonElement>("undo").disabled = !this.#prompts.canUndo;
    byId<HTMLButtonElement>("clear").disabled = this.#prompts.isEmpty && !this.#everything.isShown;
    const everything = byId<HTMLButtonElement>("everything");
    everything.disabled = !this.#shown?.image;
    byId("everything-label").textContent = isRunning
      ? "Stop"
      : isComplete && thingsShown
        ? "Hide everything"
        : "Everything";
    byId("everything-count").textContent = isRunning ? `${things.length} found` : "";
    byId<HTMLButtonElement>("download").disabled = this.#isSaving || this.#labels.length === 0;
    byId("download-label").textContent = this.#labels.length > 1 ? `Save ${this.#labels.length}` : "Save";
  }

  /** What is to be saved: the mask, or the things on show. */
  get #labels(): Label[] {
    if (this.#thingsShown) return this.#everything.things.map(({ label }) => label);
    const { mask, score } = this.#candidates[this.#chosen] ?? {};
    if (!mask?.area) return [];
    const { taken } = this.#prompts.now;
    return [{ category: "object", ...taken, mask, ...(score !== undefined && { score }) }];
  }

  async #save(): Promise<void> {
    const { image, fileName = "" } = this.#shown ?? {};
    if (!image || this.#isSaving) return;
    const { width, height } = image;
    const softEdge = byId<HTMLInputElement>("soft-edge").checked;
    const cutOut = (mask: Mask) => image.cutout(mask, { softEdge });
    this.#isSaving = true;
    const saving = saveAs(formatChosen(), { fileName, width, height, labels: this.#labels }, cutOut);
    this.#showPrompts();
    try {
      const { file, name, note } = await saving;
      download(file, name);
      say(`Saved ${name}.`, true);
      if (note) toast(note);
    } catch (error) {
      report(error);
    } finally {
      this.#isSaving = false;
      this.#showPrompts();
    }
  }
}

function formatChosen(): Format {
  return byId<HTMLSelectElement>("save-format").value as Format;
}

/** A mask as a prompt: of a predicted one the model knows more than its outline. */
function refinable(mask: Mask): Float32Array | Mask {
  return mask instanceof PredictedMask ? mask.logits : mask;
}

function layerOf(thing: Thing): OffscreenCanvas {
  const { width, height } = thing.small;
  const layer = new OffscreenCanvas(width, height);
  layer.getContext("2d")?.putImageData(new ImageData(marked(thing), width, height), 0, 0);
  return layer;
}

/** Without specks and pinholes; a thing that is itself as small as a speck stays. */
async function predictClean(image: ImageEmbedding, prompt: Prompt): Promise<Prediction> {
  const clean = await image.predict(prompt, { maxHoleArea: SPECK, maxSprinkleArea: SPECK });
  return clean.masks.some(({ area }) => area > 0) ? clean : image.predict(prompt);
}

async function toElement(blob: Blob): Promise<HTMLImageElement> {
  const element = new Image();
  element.src = URL.createObjectURL(blob);
  await new Promise<void>((resolve, reject) => {
    element.onload = () => resolve();
    element.onerror = () => {
      const message =
        "This file is cut or damaged, or not a picture the browser can show. Use a PNG, JPEG, WebP, AVIF, GIF or TIFF.";
      reject(new Sam2Error("INVALID_IMAGE", message));
    };
  }).finally(() => URL.revokeObjectURL(element.src));
  return element;
}
