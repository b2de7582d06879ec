// What else a video may be: the fields follow the model, and one line says what stands in them.

const SLIDER_REACH = 4; // the slider ends at so many times the usual value; the field takes more
const MAX_SEED = 2 ** 32 - 1; // jobs/spec.py

const seconds = (count, fps) => `${(count / fps).toFixed(1)} s`;

function fill(select, values, textOf, usual) {
  const wanted = values.map(String).includes(select.value) ? select.value : String(usual);
  select.replaceChildren(...values.map((value) => new Option(textOf(value), value)));
  select.value = wanted;
}

export class Options {
  #form;
  #models;
  #fields;

  constructor(form, models) {
    this.#form = form;
    this.#models = models;
    this.#fields = form.elements;
    this.#equipSeed();
    for (const slider of form.querySelectorAll("[data-slider]")) this.#equipSlider(slider);
    const back = document.getElementById("defaults");
    back.addEventListener("click", () => {
      this.#toDefaults();
      form.dispatchEvent(new Event("input", { bubbles: true }));
      document.querySelector("#options > summary").focus();
    });
  }

  get model() {
    const chosen = new FormData(this.#form).get("model");
    return this.#models.find(({ name }) => name === chosen) ?? this.#models[0];
  }

  /** keep: values that the server refused stay as they were typed, beside their messages. */
  followModel({ keep }) {
    const { size, frames, steps, guidance, quality } = this.#fields;
    const { limits, defaults, fps, qualities } = this.model;
    fill(size, limits.sizes, (name) => name.replace("x", " × "), defaults.size);
    fill(frames, limits.frames, (count) => seconds(count, fps), defaults.frames);
    fill(quality, qualities.map(({ name }) => name), (name) => this.#titleOf(name), qualities[0].name);
    const asked = qualities.length > 1 || quality.getAttribute("aria-invalid") === "true";
    quality.closest(".field").hidden = !asked;
    const typed = [steps.value, guidance.value];
    this.#bound(steps, limits.min_steps, limits.max_steps, 1, defaults.steps);
    this.#bound(guidance, limits.min_guidance, limits.max_guidance, "any", defaults.guidance);
    if (keep) [steps.value, guidance.value] = typed;
    this.summarise();
  }

  summarise() {
    const { size, frames, steps, guidance, quality, seed } = this.#fields;
    const { fps } = this.model;
    this.#hint(frames, `${frames.value} frames`);
    document.getElementById("options-summary").textContent = [
      size.value.replace("x", "×"),
      seconds(frames.value, fps),
      `${steps.value} steps`,
      `guidance ${guidance.value}`,
      ...(quality.selectedIndex > 0 ? [this.#titleOf(quality.value)] : []),
      seed.value === "" ? "random seed" : `seed ${seed.value}`,
    ].join(" · ");
    document.getElementById("defaults").hidden = this.areUsual();
    document.getElementById("seed-clear").hidden = seed.value === "";
    for (const slider of this.#form.querySelectorAll("[data-slider]")) this.#follow(slider);
  }

  areUsual() {
    const usual = this.#usual();
    return Object.entries(usual).every(([name, value]) => this.#fields[name].value === String(value));
  }

  #usual() {
    const { defaults, qualities } = this.model;
    return { ...defaults, quality: qualities[0].name, seed: "" };
  }

  #toDefaults() {
    for (const [name, value] of Object.entries(this.#usual())) this.#fields[name].value = value;
  }

  #titleOf(quality) {
    return this.model.qualities.find(({ name }) => name === quality).title;
  }

  #hint(input, text) {
    const hint = this.#form.querySelector(`[data-hint="${input.name}"]`);
    const ids = new Set((input.getAttribute("aria-describedby") ?? "").split(" ")).add(hint.id);
    input.setAttribute("aria-describedby", [...ids].join(" ").trim());
    hint.textContent = text;
  }

  #bound(input, least, most, step, usual) {
    Object.assign(input, { min: least, max: most, step, required: true });
    const value = Number(input.value);
    if (input.value === "" || value < least || value > most) input.value = usual;
    this.#hint(input, `${least} to ${most}, usually ${usual}`);
    const slider = this.#form.querySelector(`[data-slider="${input.name}"]`);
    Object.assign(slider, { min: least, max: Math.min(most, usual * SLIDER_REACH) });
    slider.step = step === "any" ? 0.5 : step;
    slider.hidden = false;
  }

  // Of the pointer's only: the field beside it is what the keyboard and a screen reader use.
  #equipSlider(slider) {
    slider.addEventListener("input", () => {
      this.#fields[slider.dataset.slider].value = slider.value;
    });
  }

  #follow(slider) {
    const { min, max } = slider;
    slider.value = this.#fields[slider.dataset.slider].value;
    slider.style.setProperty("--fill", `${((slider.value - min) / (max - min)) * 100}%`);
  }

  #equipSeed() {
    const { seed } = this.#fields;
    const dice = document.getElementById("dice");
    const clear = document.getElementById("seed-clear");
    const put = (value) => {
      seed.value = value;
      seed.dispatchEvent(new Event("input", { bubbles: true }));
    };
    dice.hidden = false;
    dice.addEventListener("click", () => put(crypto.getRandomValues(new Uint32Array(1))[0] % (MAX_SEED + 1)));
    clear.addEventListener("click", () => {
      put("");
      seed.focus();
    });
  }
}
