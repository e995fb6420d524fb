// Required by Mocha (.mocharc.json): properties are tried with the seed of the run, as all else that is drawn is.
import fc from 'fast-check';
import { chosenSeed } from './seed.js';

fc.configureGlobal({ seed: chosenSeed() });
