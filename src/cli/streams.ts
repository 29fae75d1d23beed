const streams = { stdout: getterOf('stdout'), stderr: getterOf('stderr') };

/** Node makes a stream when it is first asked for, which costs milliseconds. */
function getterOf(name: 'stdout' | 'stderr'): () => NodeJS.WriteStream {
  const stream = Object.getOwnPropertyDescriptor(process, name)?.get?.bind(process);
  return () => stream?.() ?? process[name];
}

const exit = process.exit.bind(process);

/**
 * Keeps stdout for results: what code of a migration, a seed or the configuration prints goes to stderr. When nobody
 * reads stderr any more, what is said is lost, and the run goes on.
 */
export function separateStreams(): void {
  const messages = once(streams.stderr, (stream) => stream.on('error', () => {}));
  for (const name of ['stdout', 'stderr'])
    Object.defineProperty(process, name, { configurable: true, enumerable: true, get: messages });
}

/** The stdout of the process. `eduschema status | head -1`: whoever reads has enough. */
export const results = once(streams.stdout, (stream) =>
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return exit();
    process.stderr.write(`the result cannot be written (${error.code}); what the command did stays\n`);
    return exit(2);
  }),
);

/** Whether all results have been written. */
export const areResultsWritten = (): boolean => results().writableLength === 0;

function once(
  open: () => NodeJS.WriteStream,
  prepare: (stream: NodeJS.WriteStream) => void,
): () => NodeJS.WriteStream {
  let opened: NodeJS.WriteStream | undefined;
  return () => {
    if (!opened) {
      opened = open();
      prepare(opened);
    }
    return opened;
  };
}
