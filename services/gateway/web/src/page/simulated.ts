/** Whether prices are made up: the stream says so when it opens; until then the gateway's status does. */
import { useConnection } from "../useRealtimeTicker.ts";
import { createValue, useValue } from "./value.ts";

/** The flag in the gateway's last status. */
export const simulatedByStatus = createValue(false);

export function useSimulated(): boolean {
  const { simulated, status } = useConnection();
  const said = useValue(simulatedByStatus);
  return simulated || (said && (status === "connecting" || status === "offline"));
}
