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
