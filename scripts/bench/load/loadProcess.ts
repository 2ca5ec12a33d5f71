import { answerQuestions, serve } from "../harness/serve.ts";
import { runSlice, type Slice } from "./LoadGenerator.ts";

/** The load generator as a process of its own: asked with a slice, it answers with the result. */
answerQuestions((slice: Slice) => runSlice(slice));
serve({ url: "" });
