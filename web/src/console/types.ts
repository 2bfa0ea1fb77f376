// What the admin API answers, as its document says.
import type { components } from "./document";

type Schemas = components["schemas"];

export type Me = Schemas["Me"];
export type Role = Me["role"];
export type Locks = Schemas["Locks"];
export type ListedUser = Schemas["UserItem"];
export type User = Schemas["User"];
export type Session = Schemas["Session"];
export type AuditEvent = Schemas["Event"];
export type EventKind = Schemas["EventKind"];
export type Message = Schemas["Message"];
export type MessageState = Schemas["MessageState"];
export type Text = Message["text"];
export type Breakdown = Schemas["Breakdown"];
export type Period = Schemas["Period"];
export type Stats = Schemas["Stats"];
export type Simulation = Schemas["Simulation"];

/** A page of a list. */
export interface List<T> { items: T[]; next: string | null }
