/** What a device lets this server do. The file is on the device, and nothing here can change it. */
import { Skeleton } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { api, ask } from "../../lib/api";
import classes from "./Device.module.css";

/** @typedef {import("../../lib/api-schema").components["schemas"]["DevicePolicy"]} DevicePolicy */

/** @param {{ device: import("../../live/rows").Device }} props */
export function Policy({ device }) {
  if (!device.keyed) return null;
  return (
    <section aria-label="Policy">
      <h3 className={classes.source}>
        Policy <span className="muted">as of its last registration</span>
      </h3>
      {device.facts.policy ? (
        <Reported device={device} />
      ) : (
        <p className={classes.words}>This device has no policy: it does whatever this server says.</p>
      )}
    </section>
  );
}

/** @param {{ device: import("../../live/rows").Device }} props */
function Reported({ device }) {
  const { data, error, refetch } = useQuery({
    queryKey: ["policy", device.id, device.rev],
    placeholderData: keepPreviousData,
    queryFn: () => ask(api.GET("/api/v1/devices/{device_id}/policy", { params: { path: { device_id: device.id } } })),
  });
  if (error) return <ProblemBox error={error} what="Its policy cannot be shown." onRetry={() => refetch()} />;
  return data ? <Told policy={data} /> : <Skeleton height={90} />;
}

/** @param {{ policy: DevicePolicy }} props */
export function Told({ policy }) {
  return (
    <>
      {policy.stop && (
        <p className={classes.words}>
          All work is stopped by the file <span className="mono">{policy.stop}</span> on this device.
        </p>
      )}
      {policy.error && <p className={classes.words}>Nothing runs on this device. {policy.error}</p>}
      <Sentences title="This server may" sentences={policy.may} />
      <Sentences title="It may not" sentences={policy.may_not} />
      <dl className={classes.facts}>
        {policy.operators.map(({ name, key_id, until }) => (
          <div key={key_id} className={classes.fact}>
            <dt>{name} signs with</dt>
            <dd>
              <span className="mono">{key_id}</span>
              {until && (
                <>
                  {" "}
                  until <Time at={until} />
                </>
              )}
            </dd>
          </div>
        ))}
        <div className={classes.fact}>
          <dt>File</dt>
          <dd className="mono">{policy.file}</dd>
        </div>
        {policy.sha256 && (
          <div className={classes.fact}>
            <dt>SHA-256</dt>
            <dd className="mono">{policy.sha256}</dd>
          </div>
        )}
      </dl>
    </>
  );
}

/** @param {{ title: string, sentences: string[] }} props */
function Sentences({ title, sentences }) {
  if (sentences.length === 0) return null;
  return (
    <>
      <h4 className={classes.lead}>{title}</h4>
      <ul className={classes.sentences}>
        {sentences.map((sentence) => (
          <li key={sentence}>{sentence}</li>
        ))}
      </ul>
    </>
  );
}
