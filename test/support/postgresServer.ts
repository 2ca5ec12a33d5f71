import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { accessSync, chownSync, constants, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { Client } from "pg";

/** A PostgreSQL server of the test's own, in a folder of its own, that listens on a socket in it and nowhere else. */
export interface PostgresServer {
  /** Connection string of a database with nothing in it, as its owner. */
  url: string;
  query(sql: string): Promise<Record<string, unknown>[]>;
  /** Ends the server and deletes the folder. */
  stop(): Promise<void>;
}

/** Why there is none to be had here: what a skipped test says. */
export class NoPostgresError extends Error {
  override readonly name = "NoPostgresError";
}

const DEBIAN = "/usr/lib/postgresql";
const START_MS = 30_000;

/** @throws NoPostgresError where PostgreSQL's programs are not installed, or no user may run them. */
export async function startPostgres(): Promise<PostgresServer> {
  const bin = findPrograms();
  const user = serverUser();
  const folder = mkdtempSync(join(tmpdir(), "pg-"));
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
  const data = join(folder, "data");
  // cut off from what the environment says of other servers
  const env = { PATH: process.env["PATH"], LC_ALL: "C", HOME: folder };
  const options = { ...user, env, cwd: folder, stdio: "pipe" } as const;
  let server: ChildProcess | undefined;
  const stop = async (): Promise<void> => {
    if (server?.exitCode === null && server.signalCode === null) {
      const ended = new Promise((resolve) => server!.once("exit", resolve));
      // fast shutdown: who is connected is cut off
      server.kill("SIGINT");
      await ended;
    }
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    execFileSync(join(bin, "initdb"), ["-D", data, "-U", "tester", "-A", "trust", "--no-sync", "-E", "UTF8"], options);
    const settings = [
      `unix_socket_directories=${folder}`,
      "listen_addresses=",
      "shared_buffers=16MB",
      "max_connections=80",
    ];
    server = spawn(join(bin, "postgres"), ["-D", data, ...settings.flatMap((setting) => ["-c", setting])], options);
    let output = "";
    server.stderr?.on("data", (part: Buffer) => (output += part.toString()));
    const url = `postgres://tester@localhost/postgres?host=${encodeURIComponent(folder)}`;
    const deadline = Date.now() + START_MS;
    while (!(await answers(url))) {
      if (server.exitCode !== null || Date.now() > deadline) throw new Error(`PostgreSQL did not start: ${output}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return { url, query: (sql) => queryOnce(url, sql), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function queryOnce(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

const answers = (url: string): Promise<boolean> =>
  queryOnce(url, "SELECT 1").then(
    () => true,
    () => false,
  );

/** Debian keeps them out of the path, one folder per version. */
function findPrograms(): string {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [
    ...versions.map((version) => join(DEBIAN, version, "bin")),
    ...(process.env["PATH"] ?? "").split(delimiter),
  ];
  const found = folders.find((folder) => ["initdb", "postgres"].every((name) => isProgram(join(folder, name))));
  if (found !== undefined) return found;
  throw new NoPostgresError(
    `PostgreSQL is not installed: no initdb and postgres in ${DEBIAN} or the PATH (Debian: apt-get install postgresql)`,
  );
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** PostgreSQL refuses to run as root: then it runs as one of the users that own nothing else. */
function serverUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ["postgres", "nobody"]) {
    try {
      const id = (flag: string): number => Number(execFileSync("id", [flag, name], { stdio: "pipe" }).toString());
      return { uid: id("-u"), gid: id("-g") };
    } catch {
      // no such user
    }
  }
  throw new NoPostgresError("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as");
}
