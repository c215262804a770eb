/** The frame of an ordinary page: a title, what belongs to it, and the sections below. */
import { useEffect } from "react";
import classes from "./Page.module.css";

/** @param {string | null} title null: somebody else on the page names it */
export function useTitle(title) {
  useEffect(() => {
    if (title !== null) document.title = `${title} · DeployX`;
  }, [title]);
}

/** @param {{ title: string, intro?: import("react").ReactNode, children: import("react").ReactNode }} props */
export function Page({ title, intro, children }) {
  useTitle(title);
  return (
    <div className={classes.page}>
      <h1 className={classes.title}>{title}</h1>
      {intro && <p className={classes.intro}>{intro}</p>}
      {children}
    </div>
  );
}

/** @param {{ title: string, children: import("react").ReactNode, id?: string }} props */
export function Section({ title, children, id }) {
  return (
    <section className={classes.section} aria-label={title} id={id}>
      <h2 className={classes.heading}>{title}</h2>
      {children}
    </section>
  );
}
