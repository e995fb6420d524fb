/** What tests of the client's rules share. */
export const DM = 'dm:alice:bob';

/** How a promise ended, once it did. */
export const outcomeOf = (promise) => {
  const result = { settled: false };
  promise.then(
    (value) => Object.assign(result, { settled: true, value }),
    (error) => Object.assign(result, { settled: true, code: error.code, error }),
  );
  return result;
};

/** Packets of one type that reached the server. */
export const received = (network, t) => network.received.filter((packet) => packet.t === t);
