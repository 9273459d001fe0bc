import { type LoadOptions, type Progress, Sam2 } from "sam2-web";
import "sam2-web-nano";
import { byId } from "./dom.js";

let loading = 0;

/** Loads a model as the page's address asks (`?device=`, `?precision=f16`, `?worker=0`) and shows how far it is. */
export function loadModel(model: LoadOptions["model"], query: URLSearchParams): Promise<Sam2> {
  return whileLoading((onProgress) =>
    Sam2.load({
      ...(model && { model }),
      device: (query.get("device") ?? "auto") as NonNullable<LoadOptions["device"]>,
      precision: (query.get("precision") ?? "f32") as NonNullable<LoadOptions["precision"]>,
      worker: query.get("worker") !== "0",
      onProgress,
    }),
  );
}

/** Loads it again on a new device; `onCpu` where the GPU will not do. */
export function reloadModel(sam: Sam2, onCpu: boolean): Promise<void> {
  return whileLoading((onProgress) => sam.reload({ ...(onCpu && { device: "cpu" }), onProgress }));
}

async function whileLoading<T>(work: (onProgress: (progress: Progress) => void) => Promise<T>): Promise<T> {
  loading += 1;
  byId("loading").hidden = false;
  showProgress({ phase: "compile", loaded: 0, total: 1 });
  try {
    return await work(showProgress);
  } finally {
    loading -= 1;
    byId("loading").hidden = loading === 0;
  }
}

function showProgress({ phase, loaded, total }: Progress): void {
  const text = byId("loading-text");
  const bar = byId<HTMLProgressElement>("loading-bar");
  if (phase !== "download") {
    text.textContent = "Preparing the model…";
    bar.removeAttribute("value");
    return;
  }
  text.textContent = `Loading the model: ${megabytes(loaded)}${total ? ` of ${megabytes(total)}` : ""} MB`;
  if (total) bar.value = loaded / total;
}

const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);
