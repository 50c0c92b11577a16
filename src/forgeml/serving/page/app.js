// The page at `/`: asks once what the model is, then connects the forms with the server.

import { request } from "./api.js";
import { byId } from "./dom.js";
import { setUpFile } from "./file.js";
import { showModel } from "./model.js";
import { say, showError } from "./notices.js";
import { setUpSeveral } from "./several.js";
import { setUpTabs } from "./tabs.js";
import { setUpTry } from "./try.js";

async function start() {
  let info;
  try {
    info = await request("info");
  } catch (error) {
    showError(error, start);
    return;
  }
  showModel(info);
  for (const link of document.querySelectorAll(".to-docs")) link.hidden = info.docs === false;
  for (const setUp of [setUpTry, setUpSeveral, setUpFile]) setUp(info);
  byId("main").setAttribute("aria-busy", "false");
  for (const form of document.querySelectorAll("fieldset[disabled]")) form.disabled = false;
  say(`The model ${info.model.name} is ready.`);
}

setUpTabs(byId("tabs"));
start();
