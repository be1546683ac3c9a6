/** The npm packages under test, by short name. */

import * as lite from "./lite.js";
import * as net from "./net.js";

export const packages = { net, lite };
