// Builds the page into docs/demo; `ser export MODEL --to web` puts a model beside it.

import { copyFile, readFile, writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const OUT = "../docs/demo";
const RUNTIME = "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm";

const common = { bundle: true, minify: true, target: "es2022", outdir: OUT, legalComments: "eof" };
// The page itself is no module: from a file, where modules do not load, it still says what to do.
await build({ ...common, entryPoints: ["src/page.ts"], format: "iife" });
await build({ ...common, entryPoints: ["src/listener.ts", "src/microphone.ts"], format: "esm" });
for (const name of ["index.html", "style.css", "licences.txt"])
  await copyFile(`src/${name}`, `${OUT}/${name}`);
// No server compresses it by itself, and it is a quarter of its size then.
await writeFile(`${OUT}/onnxruntime.wasm.gzip`, gzipSync(await readFile(RUNTIME), { level: 9 }));
