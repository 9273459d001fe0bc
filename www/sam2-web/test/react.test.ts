// @vitest-environment happy-dom
import { createElement, StrictMode } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { PictureSource } from "../src/index.js";
import { type UseImage, type UseSam2, useImage, useSam2 } from "../src/react.js";
import { alive, fakeWasm, hooks } from "./fake-wasm.js";
import { FakeWorker, stubWorkers } from "./fake-worker.js";

let workers: FakeWorker[] = [];
let root: Root;
const model = new ArrayBuffer(64);
const picture = new ImageData(40, 30);

/** What the component below has seen, newest last. */
let seen: (UseSam2 & { image?: UseImage })[] = [];

function Component(props: { model: ArrayBuffer; picture?: PictureSource }) {
  const state = useSam2({ model: props.model, device: "cpu" });
  const image = useImage(state.sam, props.picture);
  seen.push({ ...state, image });
  return null;
}

function render(props: Parameters<typeof Component>[0], strict = false): void {
  const element = createElement(Component, props);
  root.render(strict ? createElement(StrictMode, null, element) : element);
}
const last = () => seen.at(-1);

beforeEach(() => {
  seen = [];
  workers = stubWorkers(() => new FakeWorker(fakeWasm));
  root = createRoot(document.createElement("div"));
});

afterEach(() => {
  root.unmount();
  delete hooks.beforeEncode;
  for (const worker of workers) worker.terminate();
  vi.unstubAllGlobals();
});

describe("useSam2 and useImage", () => {
  it("load the model and encode the picture, and free both when the component goes", async () => {
    render({ model, picture });
    await vi.waitFor(() => expect(last()?.image?.image).toBeDefined());
    const { sam, image } = last() ?? {};
    expect(image?.image).toMatchObject({ width: 40, height: 30 });
    root.unmount();
    await vi.waitFor(() => expect(image?.image?.isDisposed).toBe(true));
    await expect(sam?.setImage(picture)).rejects.toMatchObject({ code: "DISPOSED" });
    expect(workers.every(({ terminated }) => terminated)).toBe(true);
    root = createRoot(document.createElement("div"));
  });

  it("hold one model where StrictMode mounts twice", async () => {
    render({ model, picture }, true);
    await vi.waitFor(() => expect(last()?.image?.image).toBeDefined());
    await vi.waitFor(() => expect(workers.filter(({ terminated }) => !terminated)).toHaveLength(1));
  });

  it("load anew for another model, and encode anew for another picture", async () => {
    render({ model, picture });
    await vi.waitFor(() => expect(last()?.image?.image).toBeDefined());
    const first = last();
    render({ model, picture: new ImageData(20, 10) });
    await vi.waitFor(() => expect(last()?.image?.image?.width).toBe(20));
    expect(last()?.sam).toBe(first?.sam);
    expect(first?.image?.image?.isDisposed).toBe(true);
    render({ model: new ArrayBuffer(72), picture });
    await vi.waitFor(() => expect(last()?.image?.image?.width).toBe(40));
    expect(last()?.sam).not.toBe(first?.sam);
    await vi.waitFor(() => expect(workers.filter(({ terminated }) => !terminated)).toHaveLength(1));
  });

  it("end what is under way when the component goes meanwhile", async () => {
    let go = () => {};
    hooks.beforeEncode = () => new Promise((resolve) => (go = resolve));
    render({ model, picture });
    await vi.waitFor(() => expect(last()?.sam).toBeDefined());
    const before = alive.embeddings;
    root.unmount();
    await vi.waitFor(() => expect(workers.every(({ terminated }) => terminated)).toBe(true));
    go();
    expect(last()?.image).toEqual({});
    expect(alive.embeddings).toBe(before);
    root = createRoot(document.createElement("div"));
  });

  it("give the error", async () => {
    render({ model: new ArrayBuffer(4) });
    await vi.waitFor(() => expect(last()?.error).toMatchObject({ code: "WEIGHTS_CORRUPT" }));
    expect(last()?.sam).toBeUndefined();
    render({ model, picture: "no picture" as never });
    await vi.waitFor(() => expect(last()?.image?.error).toMatchObject({ code: "UNSUPPORTED_INPUT" }));
  });
});
