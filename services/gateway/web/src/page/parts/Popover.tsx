/** A button that opens a panel: by click, and optionally by hover and keyboard focus. Escape or a click elsewhere closes it. */
import { type ReactNode, type ToggleEvent, useId, useRef } from "react";
import "./Popover.css";

interface Props {
  readonly label: ReactNode;
  readonly className?: string;
  /** Whether hovering over and focusing the button open the panel as well. */
  readonly isHint?: boolean;
  readonly children: ReactNode;
}

const LEAVE_MS = 200; // the time that the mouse may take from the button to the panel

export function Popover({ label, className = "button", isHint = false, children }: Props) {
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  const panel = useRef<HTMLDivElement>(null);
  const leaving = useRef<ReturnType<typeof setTimeout>>(undefined);

  const show = () => {
    clearTimeout(leaving.current);
    const isInTheWay = document.querySelector(".popover:popover-open:not([data-hint])"); // it would close
    if (!isInTheWay) panel.current?.showPopover();
  };
  const leave = () => {
    clearTimeout(leaving.current);
    leaving.current = setTimeout(() => panel.current?.hidePopover(), LEAVE_MS);
  };
  const hint = isHint && {
    onPointerEnter: (event: { pointerType: string }) => event.pointerType === "mouse" && show(),
    onPointerLeave: (event: { pointerType: string }) => event.pointerType === "mouse" && leave(),
    onFocus: (event: { target: Element }) => event.target.matches(":focus-visible") && show(),
    onBlur: leave,
  };

  function place(event: ToggleEvent<HTMLDivElement>) {
    if (event.newState !== "open" || !button.current) return;
    const at = button.current.getBoundingClientRect();
    const { style, offsetWidth, offsetHeight } = event.currentTarget;
    const { clientWidth, clientHeight } = document.documentElement;
    const below = at.bottom + 4;
    style.left = `${Math.max(8, Math.min(at.left, clientWidth - offsetWidth - 8))}px`;
    style.top = `${below + offsetHeight > clientHeight ? Math.max(8, at.top - offsetHeight - 4) : below}px`;
  }

  return (
    <>
      <button
        type="button"
        ref={button}
        className={className}
        popoverTarget={id}
        popoverTargetAction={isHint ? "show" : "toggle"}
        {...hint}
      >
        {label}
      </button>
      <div id={id} ref={panel} className="popover" data-hint={isHint || undefined} popover="auto" onToggle={place} {...hint}>
        {children}
      </div>
    </>
  );
}
