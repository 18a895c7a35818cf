/** Whether prices are simulated. The stream reports it when it opens; until then the gateway's status does. */
import { useConnection } from "../useRealtimeTicker.ts";
import { createValue, useValue } from "./value.ts";

/** The `simulated` flag in the last answer of /api/status. */
export const simulatedByStatus = createValue(false);

export function useSimulated(): boolean {
  const { simulated, status } = useConnection();
  const said = useValue(simulatedByStatus);
  return simulated || (said && (status === "connecting" || status === "offline"));
}
