// A job's star and tags: shown at once, taken back if the server refuses.

import { actInTurn, isGone, Refused, say } from "./act.js";
import { tell } from "./job_verbs.js";
import { toast } from "./toast.js";

const NAMES = 100; // completions, as many as the server gives

/** box: #marks of jobs/_marks.html. */
export function offerMarks(box) {
  const marks = new Marks(box);
  marks.listen();
}

class Marks {
  #box;
  #star;

  constructor(box) {
    this.#box = box;
    this.#star = box.querySelector("#favourite button");
  }

  listen() {
    const part = (id) => this.#box.querySelector(`#${id}`);
    part("favourite").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#toggleStar();
    });
    for (const chip of part("tags").children) this.#arm(chip);
    const form = part("tag");
    if (!form) return;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add(form.elements.tag);
    });
    form.elements.tag.addEventListener("focus", () => this.#complete(part("tag-names")), { once: true });
    form.elements.tag.addEventListener("input", () => this.#tell(""));
  }

  /** Resolves to the answer; throws Refused. */
  async #mark(verb, more = {}) {
    const { job, url } = this.#box.dataset;
    const answer = await actInTurn(url, { verb, job, ...more });
    const [refused] = answer.refused;
    if (refused) throw new Refused({ ...refused, status: refused.code === "not_found" ? 404 : 403 });
    return answer;
  }

  async #toggleStar() {
    const was = this.#star.ariaPressed === "true";
    this.#setStar(!was);
    try {
      await this.#mark(was ? "unfavourite" : "favourite");
    } catch (error) {
      this.#setStar(was);
      tell(error);
    }
  }

  #setStar(on) {
    this.#star.ariaPressed = String(on);
    this.#star.value = on ? "unfavourite" : "favourite";
  }

  async #add(field) {
    const tag = field.value.trim().replace(/\s+/g, " ");
    if (!tag) return;
    const known = [...this.#box.querySelectorAll("#tags [data-name]")];
    if (known.some((name) => name.textContent.toLowerCase() === tag.toLowerCase())) {
      this.#tell("It has this tag already.", field);
      return;
    }
    const chip = this.#box.querySelector("#tag-chip").content.cloneNode(true).firstElementChild;
    chip.querySelector("[data-name]").textContent = tag;
    chip.querySelector("button").ariaLabel = `Take the tag ${tag} off`;
    this.#arm(chip);
    this.#box.querySelector("#tags").append(chip);
    field.value = "";
    try {
      await this.#mark("tag", { tag });
    } catch (error) {
      chip.remove();
      field.value = tag;
      if (isGone(error)) tell(error);
      else this.#tell(error.fields?.tag ?? say(error), field);
    }
  }

  #arm(chip) {
    chip.querySelector("[data-untag]")?.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#takeOff(chip);
    });
  }

  async #takeOff(chip) {
    const tag = chip.querySelector("[data-name]").textContent;
    const next = chip.nextElementSibling;
    const list = chip.parentElement;
    chip.remove();
    (next?.querySelector("button") ?? this.#box.querySelector("#tag input[name=tag]"))?.focus();
    const back = () => list.insertBefore(chip, next?.isConnected ? next : null);
    try {
      await this.#mark("untag", { tag });
      const undo = async () => {
        back();
        try {
          await this.#mark("tag", { tag });
        } catch (error) {
          chip.remove();
          tell(error);
        }
      };
      toast(`The tag “${tag}” is off.`, { kind: "success", action: { words: "Undo", act: undo } });
    } catch (error) {
      back();
      tell(error);
    }
  }

  async #complete(names) {
    const answer = await fetch(this.#box.dataset.tagsUrl, { headers: { Accept: "application/json" } });
    if (!answer.ok) return; // a tag can be typed all the same
    for (const { name } of (await answer.json()).tags.slice(0, NAMES)) {
      const option = document.createElement("option");
      option.value = name;
      names.append(option);
    }
  }

  #tell(words, field = null) {
    const error = this.#box.querySelector("#tag-error");
    error.textContent = words;
    error.hidden = !words;
    const input = this.#box.querySelector("#tag input[name=tag]");
    if (words) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
    field?.focus();
  }
}
