/** The page's side of a benchmark in a browser: what worker_protocol.py does for Python, with the page's clock. */

import { Recommender } from "./lightrec.js";

const clock = () => performance.now();
const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const LOADS = 3;
const SPIN = 2; // milliseconds before an arrival from which on nothing sleeps: a timer may end so late

let recommender;
const calls = {};

/** Load the bundle and prepare the calls; the median of several loads, the first of which is not counted. */
async function load({ histories, k }) {
  const timings = [];
  for (let number = 0; number <= LOADS; number++) {
    const begin = clock();
    recommender = await Recommender.load("bundle");
    timings.push(clock() - begin);
  }
  const steps = histories.flatMap((history) => history.map((item, place) => [place === 0, item]));
  let session = await recommender.session();
  calls.single = { run: (history) => recommender.recommend(history, { k }), inputs: histories };
  calls.session = {
    inputs: steps,
    run: async ([begins, item]) => {
      if (begins) session = await recommender.session();
      session.add(item);
      return session.recommend({ k });
    },
  };
  const milliseconds = timings.slice(1).sort((a, b) => a - b)[Math.floor(LOADS / 2)];
  return { load_ms: milliseconds, incremental: session.incremental, calls: Object.keys(calls) };
}

/** Rankings by item index. */
async function rank(cases) {
  const answers = [];
  for (const { history, exclude, k } of cases) answers.push(await recommender.rank(history, { k, exclude }));
  return answers;
}

/** Milliseconds of single calls, made one after the other for `seconds`; one call goes before, untimed. */
async function time({ probe, first, seconds }) {
  const { run, inputs } = calls[probe];
  const timings = [];
  await run(inputs[first % inputs.length]);
  const stop = clock() + 1000 * seconds;
  while (!timings.length || clock() < stop) {
    const input = inputs[(first + timings.length) % inputs.length];
    const begin = clock();
    await run(input);
    timings.push(clock() - begin);
  }
  return { timings };
}

/** Several streams of calls at once, on the one thread that a page has. */
async function streams({ probe, streams: count, seconds }) {
  const each = Math.floor(calls[probe].inputs.length / count);
  const begin = clock();
  const streamed = await Promise.all(
    Array.from({ length: count }, (_, number) => time({ probe, first: number * each, seconds })),
  );
  return { timings: streamed.flatMap((one) => one.timings), elapsed: clock() - begin };
}

/** Requests in the order of their arrival (milliseconds from the start), each timed from its scheduled arrival. */
async function server({ probe, first, arrivals, patience }) {
  const { run, inputs } = calls[probe];
  const timings = [];
  await run(inputs[first % inputs.length]);
  const begin = clock() + SPIN;
  const stop = begin + arrivals.at(-1) + patience;
  for (const [number, arrival] of arrivals.entries()) {
    for (let left; (left = begin + arrival - clock()) > 0; ) if (left > SPIN) await sleep(left - SPIN);
    if (clock() > stop) break;
    await run(inputs[(first + number) % inputs.length]);
    timings.push(clock() - begin - arrival);
  }
  return { timings };
}

globalThis.bench = { load, rank, time, streams, server };
