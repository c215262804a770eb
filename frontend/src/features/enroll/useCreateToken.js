/** Makes an enrolment token, and tells whoever lists them. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { TOKENS_KEY, createToken } from "./tokens";

/** @param {(token: import("./tokens").NewToken) => void} onMade */
export function useCreateToken(onMade) {
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: createToken,
    onSuccess: (token) => {
      onMade(token);
      void queryClient.invalidateQueries({ queryKey: TOKENS_KEY });
    },
  });
}
