/** uPlot in React: one canvas that follows its box, the data and the theme. Loaded on its own, after the list. */
import { useEffect, useRef } from "react";
import { useComputedColorScheme } from "@mantine/core";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import classes from "./OnlinePlot.module.css";

const FALLBACK_HEIGHT = 96;

/** @param {Element} element @param {string} name */
const colour = (element, name) => getComputedStyle(element).getPropertyValue(name).trim();

const hourFormat = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const dateFormat = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

/** One line: hours within two days, else dates. @type {uPlot.Axis.DynamicValues} */
function timesOf(_plot, splits, _axis, _space, step_s) {
  const format = step_s < 86_400 && splits.length * step_s < 2 * 86_400 ? hourFormat : dateFormat;
  return splits.map((at) => format.format(at * 1000));
}

/** @param {HTMLElement} box @returns {uPlot.Options} */
function optionsFor(box) {
  const axis = {
    stroke: colour(box, "--muted"),
    grid: { stroke: colour(box, "--line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  const online = colour(box, "--state-online");
  return {
    width: box.clientWidth,
    height: box.clientHeight || FALLBACK_HEIGHT,
    legend: { show: true, live: true },
    cursor: { y: false, points: { size: 6 } },
    scales: { y: { range: (_plot, _min, max) => [0, Math.max(1, Math.ceil((max || 1) * 1.1))] } },
    axes: [
      { ...axis, size: 24, space: 72, values: timesOf },
      { ...axis, size: 44, space: 26, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000] },
    ],
    series: [
      { label: "At" },
      { label: "Online", stroke: online, fill: `${online}22`, width: 1.5, spanGaps: false, points: { show: false } },
      {
        label: "All",
        stroke: colour(box, "--muted"),
        width: 1,
        dash: [4, 4],
        spanGaps: false,
        points: { show: false },
      },
    ],
  };
}

/** @param {import("./plotData").Series} series @returns {uPlot.AlignedData} */
const dataOf = ({ times, online, total }) => [times, online, total];

/** @param {{ series: import("./plotData").Series, label: string }} props */
export default function LinePlot({ series, label }) {
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const plot = useRef(/** @type {uPlot | null} */ (null));
  const latest = useRef(series);
  const scheme = useComputedColorScheme();

  useEffect(() => {
    latest.current = series;
    plot.current?.setData(dataOf(series));
  }, [series]);

  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const made = new uPlot(optionsFor(element), dataOf(latest.current), element);
    plot.current = made;
    const observer = new ResizeObserver(() =>
      made.setSize({ width: element.clientWidth, height: element.clientHeight || FALLBACK_HEIGHT }),
    );
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [scheme]);

  return <div ref={box} className={classes.canvas} role="img" aria-label={label} data-testid="online-plot" />;
}
