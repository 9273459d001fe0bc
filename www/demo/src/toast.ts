import { byId } from "./dom.js";

const SHOWN_MS = 9000;

/** A message that goes by itself. The list is an alert region, so it is read out. */
export function toast(message: string): void {
  const item = document.createElement("div");
  item.className = "toast";
  const text = document.createElement("p");
  text.textContent = message;
  const close = document.createElement("button");
  close.type = "button";
  close.ariaLabel = "Dismiss";
  close.textContent = "×";
  close.addEventListener("click", () => item.remove());
  item.append(text, close);
  byId("toasts").replaceChildren(item);
  setTimeout(() => item.remove(), SHOWN_MS);
}
