// Calls to the sidecar. The OpenSearch account and the page's key stay in this tab's session.

import {find} from "./dom.js";

const ACCOUNT = "rescore-account";
const KEY = "rescore-key";

export class PageError extends Error {
  constructor(cause, message) {
    super(message);
    this.cause = cause;
  }
}

/** Call a path under /ui/api. If an account or a key is missing, ask for it and try again. */
export async function call(path, body = undefined, signal = undefined) {
  for (;;) {
    try {
      return await callOnce(path, body, signal);
    } catch (error) {
      if (!["account", "key"].includes(error.cause)) throw error;
      if (!await askFor(error.cause, error.message)) throw error;
    }
  }
}

async function callOnce(path, body, signal) {
  const headers = {"X-Rescore-Page": "1"};
  const account = sessionStorage.getItem(ACCOUNT);
  const key = sessionStorage.getItem(KEY);
  if (account) headers.Authorization = account;
  if (key) headers["X-Rescore-Key"] = key;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(`api/${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new PageError("network", "The sidecar cannot be reached.");
  }
  const answer = await response.json().catch(() => null);
  if (response.ok) return answer;
  throw new PageError(answer?.cause ?? "internal", answer?.message ?? `status ${response.status}`);
}

let asking = null;

/** Open the dialog for an account or a key; false if the user gives none. */
export function askFor(cause, message = "") {
  asking ??= openDialog(cause, message).finally(() => { asking = null; });
  return asking;
}

function openDialog(cause, message) {
  const dialog = find(cause === "key" ? "key-dialog" : "account-dialog");
  const form = dialog.querySelector("form");
  dialog.querySelector(".why").textContent = message;
  form.reset();
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const given = dialog.returnValue === "ok";
      if (given && cause === "key") keep(KEY, form.elements.key.value);
      if (given && cause !== "key") keep(ACCOUNT, writeAccount(form.elements));
      form.reset();
      resolve(given);
    }, {once: true});
  });
}

function writeAccount({user, password, token}) {
  if (token.value) return `Bearer ${token.value}`;
  if (!user.value) return "";
  const bytes = new TextEncoder().encode(`${user.value}:${password.value}`);
  return `Basic ${btoa(String.fromCharCode(...bytes))}`;
}

function keep(name, value) {
  if (value) sessionStorage.setItem(name, value);
  else sessionStorage.removeItem(name);
}

export function hasAccount() {
  return sessionStorage.getItem(ACCOUNT) !== null;
}
