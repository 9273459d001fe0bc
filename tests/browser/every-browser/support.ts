// What differs between the browsers as they are tested here; the README's table says the same.
export type BrowserName = "Chromium" | "Firefox" | "WebKitGTK";

export interface Support {
  webgpu: boolean;
  /** Whether there is one that shows a test picture. (WebKitGTK's MiniBrowser would ask before it may be used.) */
  camera: boolean;
  /** Where models are kept. */
  cache: "OPFS" | "Cache API";
  /** Whether they are sure to be there on the next page: MiniBrowser's session is private when it is driven. */
  keeps: boolean;
}

export const support: Record<BrowserName, Support> = {
  // By a software adapter, which specs/ run whole networks on.
  Chromium: { webgpu: true, camera: true, cache: "OPFS", keeps: true },
  Firefox: { webgpu: false, camera: true, cache: "OPFS", keeps: true },
  WebKitGTK: { webgpu: false, camera: false, cache: "Cache API", keeps: false },
};
