/** Node 20 with `ws`: every version of `@moq/net` over WebSocket. */

import { nodePlace } from "../driver/node.js";
import { tellVersions } from "./versions.js";

tellVersions("websocket", nodePlace);
