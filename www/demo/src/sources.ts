import { byId } from "./dom.js";

/** An entry of samples/samples.json. */
interface Sample {
  file: string;
  title: string;
  /** Of a clip: the picture that stands for it. */
  poster?: string;
}

/** What a visitor wants to see. */
export type Opened =
  | {
      kind: "picture" | "clip";
      file: Promise<Blob>;
      name: string;
      /** Its button in the strip. */
      sample?: HTMLElement;
    }
  | { kind: "camera" };

/** The ways files come in: the button, a drop anywhere on the page, the clipboard; and the camera. */
export function listenForFiles(open: (files: readonly File[]) => void, openCamera: () => void): void {
  byId("camera").addEventListener("click", openCamera);
  byId("camera").hidden = !navigator.mediaDevices;
  const input = byId<HTMLInputElement>("file");
  input.addEventListener("change", () => {
    const files = [...(input.files ?? [])];
    input.value = ""; // so that the same file can be opened again
    if (files.length) open(files);
  });

  const { body } = document;
  const carriesFile = (event: DragEvent) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) body.classList.remove("dropping");
  });
  addEventListener("drop", (event) => {
    body.classList.remove("dropping");
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    void filesIn(event.dataTransfer).then(open);
  });

  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) open(files);
  });
}

/** What was dropped; of a folder the files in it. */
async function filesIn(dropped: DataTransfer): Promise<File[]> {
  // Both are to be had only before anything is waited for.
  const files = [...dropped.files];
  const folders = [...dropped.items]
    .map((item) => item.webkitGetAsEntry())
    .filter((entry) => entry?.isDirectory) as FileSystemDirectoryEntry[];
  const inFolders = await Promise.all(folders.map(filesOf));
  const isFolder = (file: File) => folders.some(({ name }) => name === file.name);
  return [...files.filter((file) => !isFolder(file)), ...inFolders.flat()];
}

async function filesOf(folder: FileSystemDirectoryEntry): Promise<File[]> {
  const reader = folder.createReader();
  const entries: FileSystemEntry[] = [];
  // Some browsers give a hundred at a time, and none when all are told.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (!some.length) break;
    entries.push(...some);
  }
  const files = entries.filter((entry) => entry.isFile) as FileSystemFileEntry[];
  return Promise.all(files.map((file) => new Promise<File>((resolve, reject) => file.file(resolve, reject))));
}

/** Fills the strip; the answer opens the first picture. */
export async function showSamples(open: (sample: Opened) => void): Promise<() => void> {
  const list = byId("samples");
  const base = new URL("samples/", document.baseURI);
  const samples: Sample[] = await fetch(new URL("samples.json", base))
    .then((response) => response.json())
    .catch(() => []); // the page works without them
  const buttons = samples.map(({ file, title, poster }) => {
    const url = new URL(file, base).href;
    const button = document.createElement("button");
    button.type = "button";
    button.title = poster ? `${title} (clip)` : title;
    button.ariaPressed = "false";
    button.classList.toggle("clip", poster !== undefined);
    const image = new Image();
    image.src = new URL(poster ?? file, base).href;
    image.alt = button.title;
    button.append(image);
    button.addEventListener("click", () => {
      const fetched = fetch(url).then((response) => response.blob());
      open({ kind: poster ? "clip" : "picture", file: fetched, name: file, sample: button });
    });
    const item = document.createElement("li");
    item.append(button);
    list.append(item);
    return button;
  });
  return () => buttons.find((button) => !button.classList.contains("clip"))?.click();
}

/** Rings the sample on show; none when the picture is the visitor's own. */
export function markSample(shown?: HTMLElement): void {
  for (const button of byId("samples").querySelectorAll("button"))
    button.ariaPressed = String(button === shown);
}
