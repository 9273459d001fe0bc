import { vi } from "vitest";

// The one DOM class the unit tests need that Node lacks.
class NodeImageData {
  readonly data: Uint8ClampedArray;
  constructor(
    readonly width: number,
    readonly height: number,
  ) {
    this.data = new Uint8ClampedArray(width * height * 4);
  }
}

(globalThis as { ImageData?: unknown }).ImageData ??= NodeImageData;

// The wasm is a fake one, and the real one need not be built.
vi.mock(import("../src/file-url.js"), async (original) => ({
  ...(await original()),
  packageFile: () => undefined,
}));
