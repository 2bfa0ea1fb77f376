/* A browser that keeps no data of sites throws: then nothing is kept. */
function stored(read) {
  try { return read(); } catch { return null; }
}

/* The access token of the last login or refresh is used by itself, and kept for this tab. */
const kept = "menshen.accessToken";

function keep(answer) {
  const login = answer.url.endsWith("/auth/mobile/login"), refresh = answer.url.endsWith("/app/auth/token/refresh");
  const data = (login || refresh) && answer.ok ? answer.body?.data : null;
  const token = login ? data?.accessToken?.value : data?.value;
  if (token) {
    stored(() => sessionStorage.setItem(kept, token));
    ui.preauthorizeApiKey("bearer", token);
  }
  return answer;
}

function use() {
  const token = stored(() => sessionStorage.getItem(kept));
  if (token) ui.preauthorizeApiKey("bearer", token);
}

/* The document comes in one language: the chosen one, or the browser's. */
const chosen = "menshen.language";
const documents = { zh: "doc.json?lang=zh", en: "doc.json?lang=en" };
const buttons = document.querySelectorAll("nav button");

let choice = stored(() => localStorage.getItem(chosen)) ?? navigator.language.slice(0, 2);

function language() {
  return choice === "zh" ? "zh" : "en";
}

function mark() {
  for (const button of buttons) button.setAttribute("aria-pressed", String(button.value === language()));
  document.documentElement.lang = language() === "zh" ? "zh-CN" : "en";
}

for (const button of buttons)
  button.addEventListener("click", () => {
    choice = button.value;
    stored(() => localStorage.setItem(chosen, choice));
    mark();
    ui.specActions.updateUrl(documents[language()]);
    ui.specActions.download();
  });

/* The page shows a response when it ends, and a stream does not: there is nothing to try out. */
function streams(spec, path, method) {
  const content = spec.getIn(["paths", path, method, "responses", "200", "content"]);
  return content?.has("text/event-stream") ?? false;
}

const withoutStreams = {
  statePlugins: { spec: { wrapSelectors: {
    allowTryItOutFor: (allowed, system) => (state, path, method) => allowed(state, path, method) && !streams(system.specSelectors.specJson(), path, method),
  } } },
};

mark();
const ui = SwaggerUIBundle({
  url: documents[language()],
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  defaultModelExpandDepth: 3,
  persistAuthorization: false,
  validatorUrl: null,
  responseInterceptor: keep,
  onComplete: use,
  plugins: [withoutStreams]
});
