// Keeps the page current and makes its buttons work. It writes no HTML of its own: what has changed is fetched
// as the page that the daemon renders, and put in place; only a job's progress, told by /v1/events, is set here.
"use strict";

(() => {
  const TOKEN = "prismfs-token";
  const REFRESH_MS = 2000; // while something is worked at
  const ROUTES = { pin: "/v1/pin", unpin: "/v1/unpin", evict: "/v1/evict" };
  const DONE = { pin: "Pinned", unpin: "Unpinned", evict: "Evicted", warm: "Started", cancel: "Cancelled" };

  const find = (selector, within = document) => within.querySelector(selector);
  const said = find("#said");
  const heard = find("#heard"); // progress, which the eye has its own sign of
  const failed = find("#failed");
  const token = find("#token");

  document.documentElement.classList.add("scripted");

  function say(text) {
    failed.textContent = "";
    said.textContent = text;
  }

  function complain(text) {
    said.textContent = "";
    failed.textContent = text;
  }

  // --- asking the daemon ---------------------------------------------------------------------------------

  async function ask(method, route, body) {
    const headers = {};
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (token && token.value) headers.Authorization = `Bearer ${token.value}`;
    const answer = await fetch(route, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    if (answer.ok) return answer.json();
    const problem = await answer.json().catch(() => ({}));
    if (answer.status === 401 && token) token.focus();
    const where = problem.path ? `${problem.path}: ` : "";
    const hint = problem.hint ? ` (${problem.hint})` : "";
    throw new Error(`${where}${problem.detail || `the daemon answered ${answer.status}`}${hint}`);
  }

  function request(action, path) {
    if (action === "cancel") return ask("DELETE", `/v1/jobs/${encodeURIComponent(path)}`);
    if (action === "warm") return ask("POST", "/v1/jobs", { kind: "warm", paths: [path] });
    return ask("POST", ROUTES[action], { path });
  }

  async function act(button) {
    const { action, path } = button.dataset;
    button.setAttribute("aria-disabled", "true"); // not `disabled`, which would lose the focus
    try {
      const answer = await request(action, path);
      const kept = action === "evict" && Array.isArray(answer) && answer.some((file) => file.cached > 0);
      say(`${DONE[action]}: ${button.getAttribute("aria-label")}${kept ? "; some bytes are pinned or in use" : ""}`);
    } catch (error) {
      complain(error instanceof TypeError ? "The daemon does not answer." : error.message);
    } finally {
      button.removeAttribute("aria-disabled");
    }
    await refresh();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-action]");
    if (button && button.getAttribute("aria-disabled") !== "true") act(button);
  });

  if (token) {
    token.value = sessionStorage.getItem(TOKEN) || "";
    token.addEventListener("input", () => sessionStorage.setItem(TOKEN, token.value));
    token.form.addEventListener("submit", (event) => event.preventDefault());
  }

  // --- what is shown -------------------------------------------------------------------------------------

  let latest = 0;
  let timer = 0;

  async function refresh() {
    const turn = ++latest;
    let fresh;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!answer.ok) return;
      fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    } catch {
      return; // the event stream tells that the daemon went, and when it is back
    }
    if (turn !== latest) return; // a later answer is on its way
    for (const region of document.querySelectorAll("[data-live]")) {
      const other = fresh.getElementById(region.id);
      if (other && region.innerHTML !== other.innerHTML) replace(region, other);
      if (other) region.toggleAttribute("data-waiting", other.hasAttribute("data-waiting"));
    }
    again();
  }

  function replace(region, other) {
    const focused = region.contains(document.activeElement) ? document.activeElement : null;
    const folds = new Map([...region.querySelectorAll("details")].map((details) => [details.id, details.open]));
    const place = focused && focused.dataset ? { ...focused.dataset } : null;
    region.replaceChildren(...other.childNodes);
    for (const details of region.querySelectorAll("details")) details.open = folds.get(details.id) ?? details.open;
    if (place && place.path) refocus(region, place);
  }

  // The button that was pressed may be another one now (Pin, Unpin), or gone: then its neighbour has the focus.
  function refocus(region, { action, path }) {
    const same = [...region.querySelectorAll("button[data-action]")].filter((button) => button.dataset.path === path);
    const next = same.find((button) => button.dataset.action === action) || same[0];
    if (next) next.focus({ preventScroll: true });
    else find("#models").focus({ preventScroll: true });
  }

  function again() {
    clearTimeout(timer);
    const busy = find('[data-job][data-state="running"], [data-job][data-state="queued"], [data-waiting]');
    if (busy && !document.hidden) timer = setTimeout(refresh, REFRESH_MS);
  }

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(refresh, 50); // events come in bunches
  }

  // --- progress, as it comes -----------------------------------------------------------------------------

  const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  const told = new Map(); // job id -> the last quarter that was said aloud

  function human(size) {
    let unit = 0;
    for (; size >= 1000 && unit < UNITS.length - 1; unit++) size /= 1024;
    return `${unit ? Number(size.toPrecision(3)) : Math.round(size)} ${UNITS[unit]}`;
  }

  function percent(job) {
    if (!job.total || job.done <= 0) return 0;
    return job.done >= job.total ? 100 : Math.min(99, Math.max(1, Math.round((100 * job.done) / job.total)));
  }

  function figures(job) {
    const rate = job.rate ? `, ${human(job.rate)}/s` : "";
    const left = job.eta === null ? "" : `, ${Math.ceil(job.eta)} s left`;
    return `${percent(job)} % of ${human(job.total)}${rate}${left}`;
  }

  function showJob(job) {
    const item = find(`[data-job="${CSS.escape(job.id)}"]`);
    const over = job.state !== "queued" && job.state !== "running";
    if (!item && over) return; // an old one, that the page leaves out
    if (!item || item.dataset.state !== job.state) {
      if (over) heard.textContent = `${job.kind} ${job.state}: ${job.paths.join(", ")}`;
      soon();
    } else if (job.state === "running") {
      find("progress", item).max = Math.max(job.total, 1);
      find("progress", item).value = job.done;
      find(".job-figures", item).textContent = figures(job);
      announce(job);
    }
  }

  function announce(job) {
    const quarter = Math.floor(percent(job) / 25);
    if (quarter > (told.get(job.id) || 0)) heard.textContent = `${job.kind} ${percent(job)} %: ${job.paths.join(", ")}`;
    told.set(job.id, quarter);
  }

  function listen() {
    const events = new EventSource("/v1/events");
    let lost = false;
    events.addEventListener("job", (event) => showJob(JSON.parse(event.data)));
    events.addEventListener("open", () => {
      if (lost) say("The daemon is back.");
      if (lost) refresh();
      lost = false;
    });
    events.addEventListener("error", () => {
      if (!lost) complain("The daemon does not answer. Trying again.");
      lost = true;
    });
    addEventListener("pagehide", () => events.close());
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) refresh();
  });
  listen();
  again();
})();
