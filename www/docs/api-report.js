// Writes the package's public API as text, to be committed and looked at in a review: www/sam2-web/api/*.api.md.
// usage: npm run report -w www/docs     after `npm run build -w www/sam2-web`; the tests say when they have changed
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { Extractor, ExtractorConfig } from "@microsoft/api-extractor";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const project = here("../sam2-web");
export const committed = `${project}/api`;

/** Each entry point of the package, and its declarations. */
export const entries = {
  "sam2-web": "index.d.ts",
  "sam2-web-formats": "formats/index.d.ts",
  "sam2-web-element": "element.d.ts",
  "sam2-web-react": "react.d.ts",
};

/** Writes a report for each entry point to `folder`. */
export function makeReports(folder) {
  for (const [name, file] of Object.entries(entries)) {
    const config = ExtractorConfig.prepare({
      configObject: {
        projectFolder: project,
        mainEntryPointFilePath: `<projectFolder>/dist/${file}`,
        newlineKind: "lf",
        apiReport: { enabled: true, reportFileName: name, reportFolder: folder, reportTempFolder: tmpdir() },
        docModel: { enabled: false },
        dtsRollup: { enabled: false },
        tsdocMetadata: { enabled: false },
        // Its own TypeScript reads the declarations: those of the platform are as in the package's tsconfig.json.
        compiler: {
          overrideTsconfig: {
            compilerOptions: {
              target: "es2022",
              module: "esnext",
              moduleResolution: "bundler",
              lib: ["es2022", "esnext.disposable", "dom", "dom.iterable"],
              strict: true,
              skipLibCheck: true,
              types: [],
            },
            include: ["dist"],
          },
        },
        messages: {
          extractorMessageReporting: { default: { logLevel: "none" } },
          tsdocMessageReporting: { default: { logLevel: "none" } },
        },
      },
      configObjectFullPath: undefined,
      packageJsonFullPath: `${project}/package.json`,
    });
    const { succeeded } = Extractor.invoke(config, {
      localBuild: true,
      messageCallback: (message) => {
        // What it tells beside errors is about itself.
        message.handled = message.logLevel !== "error";
      },
    });
    if (!succeeded) throw new Error(`There is no report for ${file}: build the package first.`);
  }
}

if (process.argv[2] === "--update") makeReports(committed);
