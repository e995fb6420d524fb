import { DEFAULTS, LIMITS } from '../server/defaults.js';

export const HELP = `everyonce serve [options]    run the server

  --port N              port; 0 takes any that is free (8080)
  --host HOST           address to listen on (${DEFAULTS.host})
  --path PATH           where WebSockets are opened (${DEFAULTS.path})
  --data DIR            directory of the embedded store (${DEFAULTS.data})
  --redis URL[,URL…]    keep everything in Redis instead: one server, or nodes of a Cluster, or a primary and its replicas
  --redis-ca FILE       with rediss:// URLs: the certificates that are trusted, in PEM (those of Node)
  --redis-cert FILE --redis-key FILE   our own certificate and its key, where Redis asks for them
  --redis-key-passphrase FILE  what opens an encrypted --redis-key
  --redis-servername NAME   the name in its certificates, where the addresses are numbers
  --restored            the store may have lost its end (a snapshot of the disk, a repair): begin new epochs, once
  --durability CLASS    disk: an acked message is synced to disk; memory: it survives a crash of the process, but the
                        last ones not a power cut (disk). With --redis: replicas=N have it before an ack
  --origins A,B         browsers' pages that may connect, like https://example.com (those of the same host)
  --service-key KEY     who brings it over HTTP as Authorization: Bearer publishes in anybody's name
  --retention-days N    remove messages after N days (never)
  --retention-messages N   keep the newest N of each conversation (all)
  --retention-until-acked  remove what all devices of all members have acked
  --rate N              packets per second and connection, 0: no limit (${LIMITS.rate.value})
  --tokens WHICH        ids of messages: off (any), accepted, required (off)
  --window N            messages pushed to a device before it acks (${LIMITS.window.value})

who is it? one of
  --jwt-secret S        tokens are JWTs, HS256/384/512, by a secret of at least 32 bytes
  --jwks URL            tokens are JWTs, by the public keys found there
  --insecure            the token is the user's name; loopback only, for tests and examples

everyonce backup --data DIR --to DIR2      copy the store, of a running server or a stopped one
everyonce inspect --data DIR [CONVERSATION] [--json]   show what the store holds

everyonce migrate --from DIR --to URL[,URL…] [options]   move a stopped server's store to Redis, and read it back
  --durability replicas=N  so many replicas have all of it, too (one, where a master has any in step)
  --redis-ca FILE and so on, as above, where URL is rediss://
  --dedup-window MS     the server's dedup.windowMs (${DEFAULTS.dedupWindowMs})
  --yes                 without being asked
  --json                the result as JSON

everyonce dead-letters [list | show | replay | drop] [ID …] [options]   messages that a Consumer has given up
  --data DIR            of a running server or a stopped one (${DEFAULTS.data})
  --redis URL[,URL…]    in Redis instead; --redis-ca and so on as above
  --group GROUP         whose; without, the groups are listed
  --all                 replay or drop all of them
  --limit N             list so many (100)
  --json                a line of JSON each

everyonce torture --url URL [options]      drive a running server through bad connections, and judge what arrived
  --users N             users that are made up for it (50)
  --seconds N           time under faults (60)
  --rate N              messages a second of each user, about (4)
  --seed N              draws the same faults and loads again (random)
  --json                the result as JSON
  --jwt-secret S        the server's, to sign tokens with; without, the token is the user's name (--insecure)
  --tokens FILE         tokens of users that exist, one a line

everyonce --version
everyonce --help`;
