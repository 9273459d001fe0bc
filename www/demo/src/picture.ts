import {
  type Box,
  type ImageEmbedding,
  type Point,
  type Prediction,
  type Prompt,
  type Sam2,
  Sam2Error,
} from "sam2-web";
import { byId } from "./dom.js";
import { download } from "./download.js";
import type { Mode } from "./mode.js";
import { Newest } from "./newest.js";
import { type Candidate, Candidates, milliseconds, showFacts } from "./panel.js";
import { Prompts, type Step, toPrompt } from "./prompts.js";
import { isLoss } from "./recovery.js";
import { silhouette } from "./silhouette.js";
import { markSample } from "./sources.js";
import type { Stage } from "./stage.js";
import { still } from "./still.js";
import { report, say } from "./words.js";

const READY = "Click the thing you want.";
/** A preview that takes longer than this lags behind the pointer, so it is left out. */
const PREVIEW_MS = 350;
/** In pixels of the network's low-resolution masks, as the official predictor's videos count holes. */
const SPECK = 8;

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
  #pointer: { x: number; y: number } | undefined;
  #decodeMs = 0;

  constructor(stage: Stage) {
    this.#stage = stage;
    byId("download").addEventListener("click", () => this.#download());
  }

  get state() {
    return {
      image: this.#shown?.image,
      masks: this.#candidates.map(({ mask }) => mask),
      chosen: this.#chosen,
      prompts: this.#prompts.now,
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
    if (this.#shown.image) await this.#jobs.run(() => this.#decode());
    else await this.#encode(this.#shown, this.#opening.signal);
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
      const next: Shown = { blob, element, name: name.replace(/\.\w+$/, "") || "picture", sample };
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
  }

  // Prompts and masks

  point(point: Point): void {
    // Of two quick clicks the second finds the mask of prompts before the first: that one is not what it corrects.
    const shown = this.#candidatesOf === this.#prompts.now ? this.#candidates[this.#chosen] : undefined;
    this.#change(() => this.#prompts.addPoint(point, shown?.mask.logits));
  }

  box(box: Box): void {
    this.#change(() => this.#prompts.setBox(box));
  }

  undo(): void {
    this.#change(() => this.#prompts.undo());
  }

  clear(): void {
    this.#change(() => this.#prompts.clear());
  }

  key(event: KeyboardEvent): boolean {
    if (!/^[1-3]$/.test(event.key) || event.ctrlKey || event.metaKey || event.altKey) return false;
    this.#choose(Number(event.key) - 1);
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
      const prediction = await predictClean(image, toPrompt(step));
      const found = await Promise.all(
        prediction.masks.map(async (mask) => ({ mask, shape: await silhouette(mask) })),
      );
      if (step !== this.#prompts.now || image !== this.#shown?.image) {
        for (const { shape } of found) shape.close();
        return;
      }
      this.#decodeMs = prediction.decodeMs;
      this.#setCandidates(found);
      this.#candidatesOf = step;
      showFacts({ decode: milliseconds(this.#decodeMs) });
      this.#candidateList.show(found, this.#shown?.element);
      const scores = found.map(({ mask }) => mask.score);
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

  #choose(index: number): void {
    const mask = this.#candidates[index]?.mask;
    if (!mask) return;
    this.#chosen = index;
    this.#candidateList.mark(index);
    this.#showPrompts();
    const share = ((mask.area / (mask.width * mask.height)) * 100).toFixed(1);
    say(`Mask of ${share} % of the picture, score ${Math.round(mask.score * 100)} %.`, true);
  }

  hover(at: { x: number; y: number } | undefined): void {
    this.#pointer = at;
    if (at && this.#prompts.isEmpty) {
      const quick = !this.#jobs.busy && this.#decodeMs < PREVIEW_MS;
      if (this.#shown?.image && quick) void this.#jobs.run(() => this.#showPreview());
    } else if (this.#preview) {
      this.#setPreview(undefined);
      this.#showPrompts();
    }
  }

  async #showPreview(): Promise<void> {
    const image = this.#shown?.image;
    const at = this.#pointer;
    if (!image || !at || !this.#prompts.isEmpty) return;
    try {
      const prediction = await predictClean(image, { points: [{ ...at, label: 1 }] });
      this.#decodeMs = prediction.decodeMs;
      const best = prediction.masks.reduce((a, b) => (b.score > a.score ? b : a));
      const shape = await silhouette(best);
      if (image !== this.#shown?.image || !this.#pointer || !this.#prompts.isEmpty) {
        shape.close();
        return;
      }
      this.#setPreview(shape);
      this.#showPrompts();
      const moved = this.#pointer.x !== at.x || this.#pointer.y !== at.y;
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
    say(this.#shown?.image ? READY : "");
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
    this.#stage.show({ shape: chosen?.shape, preview: this.#preview, points, box });
    byId<HTMLButtonElement>("undo").disabled = !this.#prompts.canUndo;
    byId<HTMLButtonElement>("clear").disabled = this.#prompts.isEmpty;
    byId<HTMLButtonElement>("download").disabled = !chosen?.mask.area;
  }

  async #download(): Promise<void> {
    try {
      const png = await this.#candidates[this.#chosen]?.mask.cutout();
      if (png) download(png, `${this.#shown?.name}-cutout.png`);
    } catch (error) {
      report(error);
    }
  }
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
