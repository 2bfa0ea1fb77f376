/* The access token of the last login or refresh is used by itself, and kept for this tab. */
const kept = "menshen.accessToken";

function keep(answer) {
  const login = answer.url.endsWith("/auth/mobile/login"), refresh = answer.url.endsWith("/app/auth/token/refresh");
  const data = (login || refresh) && answer.ok ? answer.body?.data : null;
  const token = login ? data?.accessToken?.value : data?.value;
  if (token) {
    sessionStorage.setItem(kept, token);
    use();
  }
  return answer;
}

function use() {
  const token = sessionStorage.getItem(kept);
  if (token) ui.preauthorizeApiKey("bearer", token);
}

const ui = SwaggerUIBundle({
  url: "doc.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  defaultModelExpandDepth: 3,
  persistAuthorization: false,
  validatorUrl: null,
  responseInterceptor: keep,
  onComplete: use
});
