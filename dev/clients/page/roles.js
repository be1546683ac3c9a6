/** What a test page holds: a role, and the meter. */

import { sent } from "./meter.js";
import { host } from "../roles/host.js";

globalThis.host = { ...host, sent: () => ({ ...sent }) };
