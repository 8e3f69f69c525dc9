// Asks for every case with a client that a generator made for TypeScript, and prints the typed values.
// Run by scripts/check-clients: node check.js GENERATOR CASES URL. A case is a line: key, id, region or "-".

import { readFileSync } from "node:fs";
import createClient from "openapi-fetch";
import { createClient as createHeyApi } from "./hey_api/client";
import { getVerification as heyApi } from "./hey_api";
import { getVerification as orval } from "./orval";
import type { paths } from "./openapi_typescript";
import { Configuration, ProblemFromJSON, ResponseError, VerificationApi } from "./typescript_fetch";

/** What every generator's types must fit. */
interface Verification {
  status: "passed" | "failed" | "incomplete" | "pending" | "unrecognized";
  final: boolean;
  reason: { code: string; userCanRetry: boolean } | null;
  checks?: { face: { result: "pass" | "fail" | null } | null };
  identity?: { birthDate: string | Date | null };
  media?: { kind: string; url: string }[];
}

interface Problem {
  code: string;
  retryable: boolean;
}

type Outcome = { status: number; verification?: Verification; problem?: Problem };
type Ask = (baseUrl: string, key: string, signatureId: string, region?: string) => Promise<Outcome>;

const generators: Record<string, Ask> = {
  async typescript_fetch(basePath, accessToken, signatureId, region) {
    const api = new VerificationApi(new Configuration({ basePath, accessToken }));
    try {
      // `final` is a word of some languages, so this generator renames it.
      const { _final, ...verification } = await api.getVerification({ signatureId, region });
      return { status: 200, verification: { ...verification, final: _final } };
    } catch (failure) {
      if (!(failure instanceof ResponseError)) throw failure;
      return { status: failure.response.status, problem: ProblemFromJSON(await failure.response.json()) };
    }
  },

  async openapi_typescript(baseUrl, key, signatureId, region) {
    const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });
    const params = { path: { signatureId }, query: { region } };
    const { data, error, response } = await client.GET("/idv/{signatureId}", { params });
    return { status: response.status, verification: data, problem: error };
  },

  async hey_api(baseUrl, auth, signatureId, region) {
    const client = createHeyApi({ baseUrl, auth });
    const { data, error, response } = await heyApi({ client, path: { signatureId }, query: { region } });
    return { status: response!.status, verification: data, problem: error };
  },

  async orval(baseUrl, key, signatureId, region) {
    const realFetch = globalThis.fetch;
    globalThis.fetch = (target, init) => realFetch(`${baseUrl}${target}`, init);
    const answer = await orval(signatureId, { region }, { headers: { Authorization: `Bearer ${key}` } });
    globalThis.fetch = realFetch;
    return answer.status === 200
      ? { status: 200, verification: answer.data }
      : { status: answer.status, problem: answer.data };
  },
};

function show({ status, verification: it, problem }: Outcome): string {
  if (!it) return `${status} ${problem!.code} ${problem!.retryable}`;
  const reason = it.reason ? `${it.reason.code},${it.reason.userCanRetry}` : "-";
  const born = it.identity?.birthDate ?? "-";
  const birthDate = born instanceof Date ? born.toISOString().slice(0, 10) : born;
  return [status, it.status, it.final, reason, it.checks?.face?.result ?? "-", birthDate, it.media?.[0]?.kind ?? "-"].join(" ");
}

async function main([generator, cases, url]: string[]): Promise<void> {
  for (const line of readFileSync(cases, "utf8").trim().split("\n")) {
    const [key, id, region] = line.split(" ");
    console.log(show(await generators[generator](url, key, id, region === "-" ? undefined : region)));
  }
}

main(process.argv.slice(2));
